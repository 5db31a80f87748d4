"""A process is held right before a system call of its own: what it wrote is not synced, and it runs on however that ends."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core.fault import Unsupported
from stormdesk.core.model import Completed
from stormdesk.faults.disk.power_cut import PowerCut
from stormdesk.faults.process.held_call import HeldCall
from stormdesk.host import render
from tests.shell.rig import CONFIRMED, Rig, picture, rig, states
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import SUPERVISOR
from tests.shell.test_bite_power import ext4

DATA = "/var/lib/trading"
# Two threads: one writes a line, syncs it and acknowledges it, ten times a second; the other one counts.
TRADER = f"""
cat >/tmp/trader.py <<'END'
import os, subprocess, threading, time
child = subprocess.Popen(["sleep", "3333"])
def count():
    number = 0
    while True:
        number += 1
        open("/tmp/counted", "w").write(str(number))
        time.sleep(0.05)
def trade():
    log = os.open("{DATA}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    said = open("/tmp/said", "a", buffering=1)
    for number in range(10000):
        os.write(log, b"%d\\n" % number)
        os.fdatasync(log)
        said.write("%d\\n" % number)
        time.sleep(0.1)
threading.Thread(target=count, daemon=True).start()
trade()
END
"""
NTH = 4


def trading(one: Rig) -> Rig:
    require("strace", "supervisord", "supervisorctl", "python3")
    one.sandbox.sh(TRADER)
    text = SUPERVISOR.replace("command=sleep 1000", "command=python3 /tmp/trader.py")
    one.sandbox.sh(text)
    eventually("test -s /tmp/said", one.sandbox, 20)
    return one


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield trading(one)


def ask(one: Rig, *argv: str) -> Completed:
    return one.sandbox.script(render.ask(one.scripts, "/run/stormdesk", one.run_id, argv))


def set_at(one: Rig, nth: int = NTH, ttl_s: float = 30.0) -> str:
    """Set the breakpoint; the identity of the process."""
    plan = one.plan(HeldCall("trader", "fdatasync", nth), ttl_s=ttl_s)
    done = one.arm(plan)
    assert (done.code, done.stderr, states(done)) == (0, "", CONFIRMED), done.stdout
    return plan.change.steps[0].do[1]


def held(one: Rig, identity: str) -> Completed:
    return ask(one, "sd_break_held", identity, "fdatasync")


def own(one: Rig) -> list[str]:
    """The host by the harness's own picture, without what the process writes."""
    return [line for line in picture(one.sandbox) if f" {DATA}" not in line and not line.startswith("space ")]


def still(one: Rig) -> bool:
    """Does neither of its threads go on?"""

    def now() -> str:
        return one.sandbox.sh("cat /tmp/counted /tmp/said")

    before = now()
    time.sleep(0.4)
    return now() == before


def runs_on(one: Rig) -> None:
    """It trades, is not stopped, and nobody traces it."""
    one.sandbox.sh(": >/tmp/said")
    eventually("test $(wc -l </tmp/said) -ge 3", one.sandbox, 10)
    status = one.sandbox.sh("cat /proc/$(pgrep -f '^python3 /tmp/trader')/task/*/status")
    assert "TracerPid:\t0" in status
    assert not any(line.startswith("State:\tT") for line in status.splitlines())
    assert not one.sandbox.script("pgrep -x strace").ok


def test_it_stops_between_its_nth_write_and_the_sync(host: Rig) -> None:
    before = own(host)
    identity = set_at(host)
    done = ask(host, "sd_break_wait", "10")
    assert done.code == 0, done.stdout
    # strace counts from its attaching: it is held in the NTHth of the calls that it saw, written and not acknowledged.
    log, said = (host.sandbox.sh(f"tail -n 1 {path}").strip() for path in (f"{DATA}/log", "/tmp/said"))
    assert int(log) == int(said) + 1
    trace = host.sandbox.sh("cat /run/stormdesk/r-*/breaker.trace")
    calls = [line for line in trace.splitlines() if " fdatasync(" in line]
    assert len(calls) == NTH
    assert len([line for line in trace.splitlines() if "fdatasync" in line and line.endswith("= 0")]) == NTH - 1
    _, _, last = done.stdout.strip().partition(" ")
    # Of a call that is interrupted strace tells the end apart: `<... write resumed>`.
    assert [re.findall(r"[a-z]+", call)[0] for call in last.partition(" ")[2].split(";")] == ["write", "fdatasync"], done.stdout
    assert still(host)
    window = held(host, identity)
    assert (window.code, "has not begun" in window.stdout) == (0, True), window.stdout
    assert host.revert().ok
    runs_on(host)
    assert host.clear().ok
    assert own(host) == before


@pytest.mark.parametrize("how", ["watchdog", "strace killed", "helper killed", "before it comes"])
def test_however_it_ends_the_process_runs_on(host: Rig, how: str) -> None:
    identity = set_at(host, 1000 if how == "before it comes" else NTH, 8.0 if how == "watchdog" else 30.0)
    if how == "before it comes":
        assert ask(host, "sd_break_wait", "1").code == 1
    else:
        assert ask(host, "sd_break_wait", "10").code == 0
    if how == "strace killed":
        host.sandbox.sh("pkill -KILL -x strace")
        window = held(host, identity)
        assert (window.code, "no more" in window.stdout) == (1, True), window.stdout
    if how == "helper killed":
        host.sandbox.sh("kill -KILL $(sed 's/[.].*//' /run/stormdesk/r-*/helper.breaker)")
    if how == "watchdog":
        eventually("grep -q ' REVERTED ' /run/stormdesk/r-*/record", host.sandbox, 40)
    else:
        assert host.revert().ok
    runs_on(host)
    assert host.clear().ok


def test_what_somebody_else_stopped_stays_stopped(host: Rig) -> None:
    """A child of the process that an operator has stopped."""
    host.sandbox.sh("kill -STOP $(pgrep -f '^sleep 3333')")
    set_at(host)
    assert ask(host, "sd_break_wait", "10").code == 0
    assert host.revert().ok
    runs_on(host)
    child = host.sandbox.sh("cat /proc/$(pgrep -f '^sleep 3333')/status")
    assert "State:\tT" in child
    assert "TracerPid:\t0" in child


def test_a_process_that_is_killed_while_it_is_held_never_made_the_call(host: Rig) -> None:
    identity = set_at(host)
    assert ask(host, "sd_break_wait", "10").code == 0
    host.sandbox.sh(f"kill -KILL {identity.partition('.')[0]}")
    eventually(f"! kill -0 {identity.partition('.')[0]}", host.sandbox, 10)
    window = held(host, identity)
    assert (window.code, "ended in it" in window.stdout) == (0, True), window.stdout
    assert host.revert().ok
    eventually("pgrep -f '^python3 /tmp/trader'", host.sandbox, 10)
    runs_on(host)


def test_a_call_that_strace_does_not_know_is_refused(host: Rig) -> None:
    fault = HeldCall("trader", "fdatasink", 1)
    plan = fault.plan(host.facts(fault), host.site(), None)
    assert isinstance(plan, Unsupported)
    assert "fdatasink" in plan.reason


def test_a_loss_of_power_there_loses_that_line_and_no_other(tmp_path: Path) -> None:
    for one in ext4("dash", tmp_path / "image"):
        trading(one)
        identity = set_at(one)
        assert ask(one, "sd_break_wait", "10").code == 0
        acknowledged = int(one.sandbox.sh("tail -n 1 /tmp/said"))
        assert int(one.sandbox.sh(f"tail -n 1 {DATA}/log")) == acknowledged + 1
        other = Rig(one.sandbox, run_id="r-20261121-0399-aaaa", host=one.host)
        assert states(other.arm(other.plan(PowerCut()))) == CONFIRMED
        window = held(one, identity)
        assert (window.code, "ended in it" in window.stdout) == (0, True), window.stdout
        # The file's new size may have reached the disk, its content not: then there are zeros.
        assert int(one.sandbox.sh(f"tr -d '\\0' <{DATA}/log | tail -n 1")) == acknowledged
        assert one.revert().ok
        assert other.revert().ok
        assert one.clear().ok
        assert other.clear().ok
