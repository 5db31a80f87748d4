"""A signal ends a run in order wherever it arrives: no lock stays taken, no thread waits forever, no step is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from stormdesk.checks.run import run_checks
from stormdesk.core.errors import ConnectFailed
from stormdesk.ssh.parallel import each
from stormdesk.ssh.signals import Interrupted, LeaveNow, Signals, defer_signals, safe_point
from tests.support.invoking import inventory

# A process that samples three traders, gets a signal at the n-th step of it, and ends as every process does: by joining
# its threads. A step is one instruction of Python, in whatever library.
SAMPLES = """
import itertools, os, signal, sys
from types import SimpleNamespace
from stormdesk.desk.metrics_sampler import Sampler
from stormdesk.ssh.signals import Interrupted, Signals

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
        with defer_signals():
            with defer_signals():
                signal.raise_signal(signal.SIGTERM)
                seen.append("inner")
            seen.append("outer")
        seen.append("after")

    assert ends(act) is Interrupted
    assert seen == ["inner", "outer"]


def test_or_for_a_safe_point_in_the_section() -> None:
    seen = []

    def act(_: Signals) -> None:
        with defer_signals():
            signal.raise_signal(signal.SIGINT)
            seen.append("before")
            safe_point()
            seen.append("after")

    assert ends(act) is Interrupted
    assert seen == ["before"]
    safe_point()  # it was raised once, and is over


def test_the_second_signal_also_leaves_a_section() -> None:
    seen = []

    def act(signals: Signals) -> None:
        signals.shield()
        with defer_signals():
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


def test_sections_and_safe_points_of_other_threads_do_not_affect_the_main_thread() -> None:
    inside, over, wrong = threading.Event(), threading.Event(), []

    def work() -> None:
        with defer_signals():
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


# A process that waits for hosts that say nothing, as every command does, gets two signals, and must be gone.
LEAVES = """
import os, signal, sys, threading, time
from stormdesk.ssh.parallel import each
from stormdesk.ssh.signals import Interrupted, LeaveNow, Signals
names, first, second = int(sys.argv[1]), *(signal.Signals[word] for word in sys.argv[2:4])
def hang(name):
    time.sleep(600)
def both():
    time.sleep(0.3); os.kill(os.getpid(), first)
    time.sleep(0.3); os.kill(os.getpid(), second)
with Signals() as signals:
    if sys.argv[4] == "shielded":
        signals.shield()
    threading.Thread(target=both, daemon=True).start()
    try:
        each(range(names), hang)
    except LeaveNow as left:
        print("left", left, flush=True)
    except Interrupted as stopped:
        print("stopped", stopped, flush=True)
"""


@pytest.mark.parametrize("hosts", [1, 2, 100])
@pytest.mark.parametrize(
    ("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGHUP", "SIGHUP"), ("SIGINT", "SIGTERM")]
)
@pytest.mark.parametrize("shielded", ["shielded", "open"])  # while hosts are healed, and before
def test_case_C36_a_second_signal_leaves_any_number_of_hosts_and_the_process_ends(
    hosts: int, first: str, second: str, shielded: str
) -> None:
    words = [sys.executable, "-c", LEAVES, str(hosts), first, second, shielded]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    wanted = f"stopped {first}" if (hosts, shielded) == (1, "open") else f"left {second}"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{wanted}\n", "")
    assert time.monotonic() - began < 30  # on a busy machine; the hosts would take 600


def test_case_C36_checks_hand_the_second_signal_on(tmp_path: Path) -> None:
    """pytest makes an interrupt of any of them."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "test_own.py").write_text(
        "import signal\n"
        "def test_it():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    finally:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
    )
    with Signals(), pytest.raises(LeaveNow):
        run_checks(inventory(1, "none"), silent, ["steady"], tmp_path / "cut", own=[own])


def silent(*_: object) -> NoReturn:
    raise ConnectFailed("nobody")


def test_case_C36_a_failure_in_one_of_many_is_raised_when_all_are_done() -> None:
    done = []

    def act(name: str) -> None:
        time.sleep(0.1)
        if name == "a":
            raise ZeroDivisionError
        done.append(name)

    with pytest.raises(ZeroDivisionError):
        each("abc", act)
    assert sorted(done) == ["b", "c"]
