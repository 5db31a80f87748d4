"""A signal ends a run in order wherever it comes: no lock stays taken, no thread waits for ever, nothing is cut in two."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from stormdesk.drive.asking import each
from stormdesk.drive.signals import Interrupted, LeaveNow, Signals, safe_point, whole

# A process that samples three traders, gets a signal at the n-th step of it, and ends as every process does: by joining
# its threads. A step is one instruction of Python, in whatever library.
SAMPLES = """
import itertools, os, signal, sys
from types import SimpleNamespace
from stormdesk.drive.sampling import Sampler
from stormdesk.drive.signals import Interrupted, Signals

entry = SimpleNamespace(ports={"http": 1})
hosts = {name: SimpleNamespace(services={"trader": entry}) for name in "abc"}
stack = SimpleNamespace(inventory=SimpleNamespace(hosts=hosts), run=lambda *_: SimpleNamespace(stdout=""))

def sampled(at):
    sampler, steps = Sampler(stack), itertools.count()
    sampler.read()
    def step(frame, event, arg):
        frame.f_trace_opcodes = True
        if event == "opcode" and next(steps) == at:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return step
    with Signals() as signals:
        try:
            sys.settrace(step)
            sampler.read()
        except Interrupted:
            pass
        finally:
            sys.settrace(None)
    sampler._threads.shutdown()
    return signals.count

at = int(sys.argv[1])
while sampled(at):
    print(at, flush=True)
    at += 23
print("over", flush=True)
"""


def test_a_signal_at_any_step_of_a_sample_leaves_no_thread_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAMPLES, "0"], capture_output=True, text=True, timeout=120, check=False
    )
    *steps, last = done.stdout.split()
    assert last == "over", done.stderr
    assert len(steps) > 50


def ends(act: Callable[[Signals], object]) -> type[BaseException] | None:
    """What a signal made of `act`; None: `act` went on to its end."""
    with Signals() as signals:
        try:
            act(signals)
        except KeyboardInterrupt as error:
            return type(error)
    return None


def test_a_signal_waits_for_the_end_of_the_section() -> None:
    seen = []

    def act(signals: Signals) -> None:
        with whole():
            with whole():
                signal.raise_signal(signal.SIGTERM)
                seen.append("inner")
            seen.append("outer")
        seen.append("after")

    assert ends(act) is Interrupted
    assert seen == ["inner", "outer"]


def test_or_for_a_safe_point_in_it() -> None:
    seen = []

    def act(_: Signals) -> None:
        with whole():
            signal.raise_signal(signal.SIGINT)
            seen.append("before")
            safe_point()
            seen.append("after")

    assert ends(act) is Interrupted
    assert seen == ["before"]
    safe_point()  # it was raised once, and is over


def test_the_second_signal_leaves_also_out_of_a_section() -> None:
    seen = []

    def act(signals: Signals) -> None:
        signals.shield()
        with whole():
            signal.raise_signal(signal.SIGINT)
            safe_point()
            seen.append("the first is only counted")
            signal.raise_signal(signal.SIGINT)
            safe_point()
            seen.append("after")

    assert ends(act) is LeaveNow
    assert seen == ["the first is only counted"]


def test_without_a_section_it_comes_at_once() -> None:
    seen = []

    def act(_: Signals) -> None:
        signal.raise_signal(signal.SIGHUP)
        seen.append("after")

    assert ends(act) is Interrupted
    assert not seen


def test_sections_and_safe_points_of_other_threads_are_nothing_to_the_main_thread() -> None:
    inside, over, wrong = threading.Event(), threading.Event(), []

    def work() -> None:
        with whole():
            inside.set()
            over.wait(10)
            try:
                safe_point()
            except KeyboardInterrupt:
                wrong.append("a signal was raised in another thread")

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    ended = ends(lambda _: signal.raise_signal(signal.SIGINT))
    over.set()
    thread.join(10)
    assert ended is Interrupted
    assert not wrong


def test_what_runs_on_several_hosts_is_done_before_the_signal_is_raised() -> None:
    done = []

    def act(name: str) -> None:
        if name == "a":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.2)
        done.append(name)

    assert ends(lambda _: each("abc", act)) is Interrupted
    assert sorted(done) == ["a", "b", "c"]
