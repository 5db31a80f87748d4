"""Scenarios of leadership and of restarts: at most one trader sends, and nothing is forgotten when one ends or starts.

One stack with a standby for all tests of the file; each leaves trader-a leading. Timers are shortened to NUMBERS, but with --full-timers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from stormdesk import durable
from stormdesk.core.model import Verdict
from stormdesk.evidence.judges import JUDGES
from stormdesk.testnet.resilience import Overrides
from stormdesk.testnet.trader.snapshot import Snapshot
from tests.e2e.stack_harness import Stack, eventually, shortened
from tests.e2e.test_stack_trades import assert_exact, read_cut

NUMBERS: Overrides = {
    "leader": {"ttl_s": 8, "renew_s": 2},
    "order": {"recv_window_ms": 2000, "request_timeout_s": 3, "quiet_s": 6},
}
A, B = "trader-a", "trader-b"


@pytest.fixture(scope="module")
def stack(timers: Callable[[Overrides], Overrides]) -> Iterator[Stack]:
    with shortened(timers(NUMBERS)) as stack:
        stack.up(standby=True)
        yield stack


@pytest.fixture(autouse=True)
def _a_leads_before_and_after(stack: Stack) -> Iterator[None]:
    stack.trading(more=4)
    yield
    for which in "ab":
        stack.trader("resume", "POST", which)
    stack.trading(deadline_s=60)


def ttl_s(stack: Stack) -> float:
    """How long the lock lives without its holder."""
    return stack.numbers.leader.ttl_s


def leads(stack: Stack, which: str) -> bool:
    return bool(stack.trader("health", which=which)["leader"]["is_leader"])


def epoch(stack: Stack, which: str) -> int:
    return int(stack.trader("health", which=which)["leader"]["epoch"])


def started(stack: Stack, name: str) -> str:
    """What tells a process from any that follows it."""
    pid = stack.processes[name].pid
    with open(f"/proc/{pid}/stat") as stat:
        return f"{pid} {stat.read().rpartition(')')[2].split()[19]}"


def posts(stack: Stack) -> int:
    return sum(line["kind"] == "REQUEST" and line["method"] == "POST" for line in stack.journal())


def alive_for(stack: Stack, seconds: float) -> None:
    """Liveness answers all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert stack.trader("health")["ts"]
        time.sleep(0.2)


def back_to_a(stack: Stack) -> None:
    """Let trader-a have the lead again."""
    stack.kill(B, signal.SIGTERM)
    stack.trading()
    stack.start(B)
    eventually("b answers", lambda: stack.trader("health", which="b"))


def assert_one_sender(stack: Stack) -> None:
    result = JUDGES["I-06"](read_cut(stack, A, B))
    assert result.verdict is Verdict.HELD, result.why


def test_scenario_L_01_L_02_the_lock_is_lost_and_taken_again(stack: Stack) -> None:
    """Redis stops: paused long before the lock would expire, alive all the time. It starts empty: leading again within
    the time for it, the same process, with an epoch that goes on (E-22)."""
    process, before = started(stack, A), epoch(stack, "a")
    stack.kill("redis")
    began = time.monotonic()
    eventually("not leader", lambda: not leads(stack, "a"), ttl_s(stack))
    print(f"paused {time.monotonic() - began:.2f} s after Redis was killed")
    assert stack.trader("ready")["ready"] is False
    assert stack.metric("trader_is_leader") == 0
    alive_for(stack, 1)  # what was on its way arrives
    sent = posts(stack)
    alive_for(stack, 4)
    assert posts(stack) == sent
    stack.redis()
    began = time.monotonic()
    eventually("ready", lambda: stack.trader("ready")["ready"] or stack.trader("ready", which="b")["ready"], 90)
    print(f"ready {time.monotonic() - began:.2f} s after Redis was back")
    leader = "a" if leads(stack, "a") else "b"
    assert stack.metric("trader_is_leader", leader) == 1
    assert max(stack.trader("health", which=leader)["heartbeats"].values()) < 5
    assert started(stack, A) == process
    assert epoch(stack, leader) > before, "Redis was empty, and the epoch began anew"
    stack.trading(leader, more=3)
    if leader == "b":
        back_to_a(stack)
    assert_one_sender(stack)


def test_scenario_L_03_postgres_is_away_for_a_moment(stack: Stack) -> None:
    process = started(stack, A)
    stack.kill("postgres")
    alive_for(stack, 4)
    assert stack.trader("ready")["ready"] is False
    stack.postgres()
    began = time.monotonic()
    stack.trading(more=3, deadline_s=30)
    print(f"trading {time.monotonic() - began:.2f} s after PostgreSQL was back")
    assert started(stack, A) == process
    assert_exact(stack, A, B)


def test_scenario_E_05_the_leader_is_paused_longer_than_its_lock_lasts(stack: Stack) -> None:
    """SIGSTOP, the standby leads, SIGCONT: what the sleeper had begun is not an order any more."""
    for _ in range(2):
        stack.trading(more=5)
        stack.pause(A)
        stack.trading("b", deadline_s=90)
        stack.resume(A)
        eventually("a stands by", lambda: not leads(stack, "a"))
        stack.trading("b", more=3)
        assert_one_sender(stack)
        back_to_a(stack)
    assert_exact(stack, A, B)


def test_scenario_E_06_a_copy_of_the_leader_was_left_running(stack: Stack) -> None:
    """The same instance, started elsewhere with the same configuration and no state: it takes no lock that lives."""
    before = epoch(stack, "a")
    stack.start("trader-c", instance=A)
    eventually("the copy answers", lambda: stack.trader("health", which="c"))
    end = time.monotonic() + 1.5 * ttl_s(stack)
    while time.monotonic() < end:
        assert not leads(stack, "c")
        assert stack.trader("ready", which="c")["ready"] is False
        time.sleep(0.25)
    stack.trading(more=3)
    assert epoch(stack, "a") == before
    stack.kill("trader-c", signal.SIGTERM)
    assert not [line for line in stack.ledger_lines("trader-c") if line["kind"] == "INTENT"]
    assert_one_sender(stack)


def test_scenario_E_22_redis_starts_empty(stack: Stack) -> None:
    before = epoch(stack, "a")
    stack.trader("hold", "POST", "b")
    stack.kill("redis")
    stack.redis()
    eventually("somebody leads anew", lambda: any(leads(stack, w) and epoch(stack, w) > before for w in "ab"), 60)
    if leads(stack, "b"):
        back_to_a(stack)
    stack.trading()
    assert_one_sender(stack)


def test_scenario_R_05_a_trader_is_told_to_stop(stack: Stack) -> None:
    """SIGTERM: what is in flight lands, everything is written, the lock is given back, the exit is clean."""
    since = time.time()
    stack.trading(more=5)
    process = stack.processes[A]
    began = time.monotonic()
    taken = stack.said(B).count("the lock is ours") + 1
    stack.kill(A, signal.SIGTERM)
    took = time.monotonic() - began
    assert process.returncode == 0
    eventually("b has the lock", lambda: stack.said(B).count("the lock is ours") >= taken, 5)  # it was given back
    stack.trading("b")
    print(f"stopped in {took:.2f} s, the standby traded {time.monotonic() - began:.2f} s after the signal")
    mine = "select client_order_id from orders where instance = 'trader-a'"
    left = stack.sql(f"{mine} and state in ('PENDING_NEW', 'UNKNOWN')")
    assert left == []
    lines = [line for line in stack.ledger_lines(A) if line["t"] >= since]
    sent = {line["client_order_id"] for line in lines if line["kind"] == "INTENT"}
    told = {line["client_order_id"] for line in lines if line["kind"] in ("ACK", "RESOLVED")}
    accepted = {line["client_order_id"] for line in stack.journal() if line["kind"] == "ACCEPTED"}
    assert len(sent & accepted) >= 5
    assert sent & accepted <= told, "an ACK was not written"
    document = durable.read_json(stack.data(A) / "positions_snapshot.json", Snapshot)
    assert document is not None
    assert document.moves or document.positions
    stack.start(A)
    back_to_a(stack)
    assert_exact(stack, A, B)


def test_scenario_B_04_state_is_the_same_after_a_restart(stack: Stack) -> None:
    stack.trader("hold", "POST", "b")
    stack.quiet()
    before = stack.trader("positions"), sorted((o["client_order_id"], o["state"]) for o in stack.trader("orders"))
    stack.kill(A)
    stack.start(A, orders_per_s=0.01)  # not yet
    eventually("leads again", lambda: leads(stack, "a"), 60)
    after = stack.trader("positions"), sorted((o["client_order_id"], o["state"]) for o in stack.trader("orders"))
    assert after[0] == before[0]
    assert after[1] == before[1]
    stack.kill(A)
    stack.start(A)
    stack.trading()
    assert_exact(stack, A, B)


@pytest.mark.parametrize("stale", ["its own", "a stranger's", "garbage"])
def test_scenario_H_12_stale_lock_and_pid_files(stack: Stack, stale: str) -> None:
    """What a killed trader left does not keep the next one from trading at once: pid file, lock, half-written files."""
    stack.kill(A)
    pidfile = stack.home / f"{A}.pid"
    if stale != "its own":
        pidfile.write_text(f"{os.getpid()}\n" if stale == "a stranger's" else "what\n")
    half = stack.data(A) / ".positions_snapshot.json.new"
    half.write_bytes(b'{"t": 17')
    began = time.monotonic()
    stack.start(A)
    eventually("leads again", lambda: leads(stack, "a"), ttl_s(stack))
    stack.trading(more=3)
    print(f"trading {time.monotonic() - began:.2f} s after the start")
    assert int(pidfile.read_text()) == stack.processes[A].pid
    eventually("half a file is gone", lambda: not half.exists())


def test_scenario_E_06_a_forgotten_desk_with_a_lock_of_its_own(stack: Stack) -> None:
    """It shares the account and the database, but not Redis: PostgreSQL alone lets one of the two send at a time."""
    before, fenced = epoch(stack, "a"), stack.said(A).count("is not the newest")
    elsewhere = f"redis://127.0.0.1:{stack.port['redis']}/1"
    stack.start("trader-c", redis=elsewhere)
    stack.trading("c", deadline_s=60)
    eventually("the desk is overtaken", lambda: stack.said(A).count("is not the newest") > fenced)
    eventually("somebody of the desk leads again", lambda: any(epoch(stack, w) > before for w in "ab"), 60)
    alive_for(stack, ttl_s(stack))
    stack.kill("trader-c", signal.SIGTERM)
    result = JUDGES["I-06"](read_cut(stack, A, B, "trader-c"))
    assert result.verdict is Verdict.HELD, result.why
    eventually("somebody trades", lambda: any(stack.trader("ready", which=w)["ready"] for w in "ab"), 60)
    if leads(stack, "b"):
        back_to_a(stack)
