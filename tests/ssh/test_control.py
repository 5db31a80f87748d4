"""The way to a host once the fault is in: a fault that keeps new SSH connections out, by a bug of its own, ends early."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stormdesk.cli.show import Mode, Show
from stormdesk.core.errors import ConnectFailed, ExitCode
from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import HostFacts
from stormdesk.core.outcome import Outcome
from stormdesk.core.plan import Plan, Step
from stormdesk.core.safety import Allow
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.run import control, runner
from stormdesk.run.record import load
from stormdesk.run.request import Request, one
from stormdesk.ssh.pool import Pool
from tests.cases.planning import changed
from tests.shell.rig import picture, same
from tests.ssh.server import Server
from tests.ssh.slow import SlowWay

HOLD_S = 20.0
TTL_S = 45.0
RULES = ("-p", "tcp", "--dport", "22")
FAST_S = 1.0  # what lies between the steps besides the look, on a busy machine


def rules(*more: str) -> Step:
    """Rules in front of all others, and away again: valid from any state."""
    off = f"while iptables -w -D INPUT {' '.join((*RULES, *more))} 2>/dev/null; do :; done"
    return Step(("iptables", "-w", "-I", "INPUT", *RULES, *more), (("sh", "-c", off),))


LISTENER = "$(cat /run/sshd.pid)"
BUGS = {
    "SYNs vanish": (rules("--syn", "-j", "DROP"), "^no answer"),
    "SYNs are refused": (rules("--syn", "-j", "REJECT", "--reject-with", "tcp-reset"), "^Connection refused"),
    "sshd accepts nobody": (
        Step(("sh", "-c", f"kill -STOP {LISTENER}"), (("sh", "-c", f"kill -CONT {LISTENER}"),)),
        "^no answer",
    ),
}


@dataclass(frozen=True)
class Planted(DiskFull):
    """A fault that says that it leaves our connection alone, and does more than it says."""

    more: tuple[Step, ...] = ()

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        plan = super().plan(facts, site, ttl_s)
        assert isinstance(plan, Plan)
        assert not plan.control.cuts
        return changed(
            plan, steps=(*plan.change.steps, *self.more), touches=(*plan.change.touches, "iptables", "filter")
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as one:
        # A table in which there was a rule once stays, and is empty.
        one.box.sh("iptables -w -A INPUT -j ACCEPT; iptables -w -D INPUT -j ACCEPT")
        yield one


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def go(server: Server, more: tuple[Step, ...], hold_s: float = HOLD_S, ttl_s: float = TTL_S) -> Outcome:
    schedule = one(Planted(more=more), ("sandbox",), hold_s, ttl_s)
    request = Request(schedule, allow=Allow(unsteady=True, role_share=100))
    paths = {"data": "/var/lib/trading"}
    return runner.run(
        request, server.inventory(paths=paths), server.dial, Show(Mode.LINES, sys.stderr), lambda pool: None
    )


def said(runs: Path, outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {event["event"]: dict(event) for event in load(runs / outcome.run_id)}


@pytest.mark.parametrize("bug", BUGS)
def test_a_fault_that_keeps_new_connections_out_ends_within_two_seconds(server: Server, runs: Path, bug: str) -> None:
    step, why = BUGS[bug]
    before = picture(server.box)
    outcome = go(server, (step,))
    events = said(runs, outcome)
    assert (outcome.exit_code, outcome.residue) == (ExitCode.DIRTY, "clean")
    assert outcome.why.startswith("sandbox: no new SSH connection gets through since the fault is in (")
    assert outcome.why.endswith("within 1.5 s); it is reverted early, over the one that is open")
    assert re.search(why, events["control.lost"]["why"])
    seen_s = events["control.lost"]["t"] - events["S5.confirmed"]["host_t"]
    assert seen_s < control.WITHIN_S + FAST_S < HOLD_S
    healed_s = events["S8.verified"]["lifted_t"] - events["S4.injected"]["injected_t"]
    print(f"{bug}: seen {seen_s:.2f} s after it was confirmed, reverting {healed_s:.2f} s after the inject")
    assert healed_s < control.WITHIN_S + 2 * FAST_S < HOLD_S
    assert (events["S8.verified"]["reverted_by"], events["S8.verified"]["clean"]) == ("controller", True)
    assert "S6.hold" not in events
    same(before, server.box)


def test_where_nothing_gets_through_the_watchdog_is_said_to_be_all_there_is(server: Server, runs: Path) -> None:
    before = picture(server.box)
    outcome = go(server, (rules("-j", "DROP"),), hold_s=5, ttl_s=12)
    events = said(runs, outcome)
    assert "the one that was open is lost too, so the host's watchdog reverts it, within" in outcome.why
    assert outcome.residue == "clean"
    assert outcome.exit_code == ExitCode.DIRTY
    assert events["S8.verified"]["reverted_by"] == "watchdog"
    same(before, server.box)


def test_a_fault_that_leaves_the_way_open_costs_one_connection_that_nobody_logs_in_on(
    server: Server, runs: Path
) -> None:
    outcome = go(server, (), hold_s=1, ttl_s=None)  # type: ignore[arg-type]
    assert (outcome.exit_code, outcome.residue) in ((ExitCode.HELD, "clean"), (ExitCode.VIOLATED, "clean"))
    took_ms = said(runs, outcome)["control.open"]["took_ms"]
    print(f"answered within {took_ms} ms")
    assert took_ms < 1000 * FAST_S
    assert len(server.dialed) == 2
    until = time.monotonic() + 5
    while server.sessions() and time.monotonic() < until:
        time.sleep(0.05)
    assert not server.sessions()
    assert server.log().count("Accepted publickey") == 1


def test_a_way_that_was_slow_before_the_fault_may_be_as_slow_again(server: Server) -> None:
    way = SlowWay(server, 0.0, 2.5)
    with Pool(server.inventory(), way.dial) as pool:
        with pytest.raises(ConnectFailed, match="no answer within 2 s"):
            pool.answered("sandbox", 2)  # nothing is known of the way yet
        pool.run("sandbox", ("true",), 10)
        assert 2.4 < pool.answered("sandbox", 2) < 5
        way.open = False
        began = time.monotonic()
        with pytest.raises(ConnectFailed, match=r"^no answer within [5-7]\b"):
            pool.answered("sandbox", 2)
        assert time.monotonic() - began < 8
