"""The trading stack on loopback, with real processes: it trades, it survives, and its four records agree exactly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import JUDGES
from tests.e2e.stack_cut import read_cut
from tests.e2e.stack_harness import Stack, cpu_s, eventually, home_for_nobody, rss_mib
from tests.unit import schemas


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack of this test alone."""
    with home_for_nobody() as home:
        stack = Stack(home)
        yield stack
        stack.down()


def assert_exact(stack: Stack, *traders: str) -> cuts.Cut:
    """Hold, drain, and compare journal, ledgers, database and balances to the last digit."""
    names = traders or ("trader-a",)
    for name in names:
        if name in stack.processes:
            stack.quiet(name[-1])
    cut = read_cut(stack, *names)
    for name in ("I-01", "I-02", "I-03", "I-04", "I-05", "I-14"):
        result = JUDGES[name](cut)
        assert result.verdict is Verdict.HELD, f"{result.id}: {result.why}"
    assert_ledgers_complete(cut, [stack.ledger_path(name) for name in names])
    return cut


def assert_ledgers_complete(cut: cuts.Cut, paths: list[Path]) -> None:
    """Every INTENT has its end, and every fill of its order is noted: by whoever led at the time."""
    ledgers = [[json.loads(line) for line in path.read_bytes().splitlines()] for path in paths]
    for lines in ledgers:
        ends = [line["client_order_id"] for line in lines if line["kind"] in ("REJECT", "DONE")]
        assert len(ends) == len(set(ends)), "an order ended twice"
        fills = [line["trade_id"] for line in lines if line["kind"] == "FILL"]
        assert len(fills) == len(set(fills)), "a trade was noted twice"
    every = [line for lines in ledgers for line in lines]
    intents = {line["client_order_id"] for line in every if line["kind"] == "INTENT"}
    assert intents <= {line["client_order_id"] for line in every if line["kind"] in ("REJECT", "DONE")}
    booked = {fill.trade_id for fill in cut.fills.rows if fill.client_order_id in intents}
    assert booked <= {line["trade_id"] for line in every if line["kind"] == "FILL"}


def test_it_trades_and_its_records_agree(stack: Stack) -> None:
    began = time.monotonic()
    stack.redis()
    stack.postgres()
    started = time.monotonic()
    for name in ("venue", "feeder", "trader-a", "trader-b"):
        stack.start(name)
    stack.trading()
    first_order_s = time.monotonic() - started
    before = {name: cpu_s(process.pid) for name, process in stack.processes.items()}
    counted = time.monotonic()
    stack.trading(more=30)
    span = time.monotonic() - counted
    for name, process in stack.processes.items():
        share = (cpu_s(process.pid) - before[name]) / span
        print(f"{name}: {share:.1%} of a core, {rss_mib(process.pid):.0f} MiB")
    print(f"servers up in {started - began:.2f} s, first order {first_order_s:.2f} s after the start")
    health = stack.trader("health")
    assert health["dor"] is True
    assert health["leader"]["is_leader"] is True
    assert stack.trader("ready") == {"ready": True, "reasons": []}
    standby = stack.trader("ready", which="b")
    assert standby["ready"] is False
    assert standby["reasons"] == ["standby: the leader is trader-a"]
    cut = assert_exact(stack)
    assert {row.instance for row in cut.orders.rows} == {"trader-a"}
    kinds = {line["type"] for line in stack.journal() if line["kind"] == "ACCEPTED"}
    assert kinds == {"LIMIT", "MARKET"}
    assert any(line["kind"] == "CANCELED" for line in stack.journal())
    assert not stack.ledger_path("trader-b").read_bytes()
    mistakes, seen = schemas.mistakes_below(stack.home)
    assert mistakes == []
    assert seen >= {
        "journal.jsonl",
        "ledger.jsonl",
        "md.jsonl",
        "feeder.heartbeat.json",
        "positions_snapshot.json",
        "order_sigs.json",
    }


def test_killed_traders_lose_nothing(stack: Stack, repeats: Any) -> None:
    """SIGKILL at any moment; the same instance goes on within seconds, long before its lock would expire."""
    stack.up()
    random = Random(11)
    slowest = 0.0
    for _ in range(repeats(20)):
        stack.trading(more=random.randrange(1, 6))
        time.sleep(random.uniform(0, 0.4))  # any moment, not only the one in which we see an order
        stack.kill("trader-a")
        began = time.monotonic()
        stack.start("trader-a")
        stack.trading()
        slowest = max(slowest, time.monotonic() - began)
    print(f"slowest restart: {slowest:.2f} s to an accepted order")
    assert slowest < 10
    assert_exact(stack)


def test_killed_venue_leaves_unknown_orders_that_are_resolved(stack: Stack) -> None:
    stack.up()
    stack.trading(more=10)
    stack.pause("venue")  # requests now hang: they time out and nobody knows whether they arrived
    eventually("an UNKNOWN order", lambda: stack.count("unknown") > 0)
    assert stack.trader("health")["components"]["REST_API"]["error"] == "CONN_TIMEOUT"
    stack.kill("venue")
    stack.start("venue")
    stack.trading(more=10)
    cut = assert_exact(stack)
    asked = {line.client_order_id for line in cut.ledgers[0].lines.rows if line.kind == "UNKNOWN"}
    posts = [line for line in stack.journal() if line["kind"] == "REQUEST" and line["method"] == "POST"]
    assert asked
    for cid in asked:
        assert len([line for line in posts if line["client_order_id"] == cid]) <= 1, "sent again"


def test_frozen_venue_is_noticed_and_trading_resumes(stack: Stack) -> None:
    """What arrived while the venue was frozen is found, not sent again."""
    stack.up()
    stack.trading(more=12)
    stack.pause("venue")
    began = time.monotonic()
    failing = {"REST_API", "Feeder"}
    eventually("dor false", lambda: set(stack.trader("health")["failing_components"]) == failing, 15)
    noticed = time.monotonic() - began
    stack.resume("venue")
    began = time.monotonic()
    eventually("dor true", lambda: stack.trader("health")["dor"], 15)
    stack.trading()
    print(f"noticed after {noticed:.1f} s, trading {time.monotonic() - began:.1f} s after the venue woke up")
    assert_exact(stack)


@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_lost_server_pauses_trading(stack: Stack, server: str) -> None:
    """No crash, no order without a row, and on again without help."""
    stack.up()
    stack.trading(more=15)
    pid = stack.processes["trader-a"].pid
    stack.kill(server, signal.SIGINT if server == "postgres" else signal.SIGKILL)
    name = {"redis": "Redis", "postgres": "Postgres"}[server]
    eventually("noticed", lambda: name in stack.trader("health")["failing_components"], 15)
    assert stack.trader("ready")["ready"] is False
    if server == "redis":
        eventually("not leader", lambda: not stack.trader("health")["leader"]["is_leader"], 15)
    getattr(stack, server)()
    began = time.monotonic()
    stack.trading(deadline_s=60)
    print(f"{server}: trading again {time.monotonic() - began:.1f} s after it came back")
    assert stack.processes["trader-a"].poll() is None
    assert stack.processes["trader-a"].pid == pid
    assert_exact(stack)


def test_standby_takes_over_when_the_leader_stops(stack: Stack) -> None:
    stack.up(standby=True)
    stack.trading(more=12)
    stack.kill("trader-a", signal.SIGTERM)
    began = time.monotonic()
    stack.trading("b")
    print(f"standby traded {time.monotonic() - began:.1f} s after the leader had stopped")
    stack.trading("b", more=10)
    epochs = [epoch for (epoch,) in stack.sql("select epoch from orders order by created_at")]
    assert epochs == sorted(epochs)
    assert_exact(stack, "trader-b", "trader-a")


def test_bad_configuration_is_one_line(stack: Stack) -> None:
    stack.start("feeder")
    path = stack.home / "feeder.json"
    document = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(document | {"symbols": 7}))
    stack.kill("feeder")
    command = [sys.executable, "-m", "stormdesk.testnet.feeder", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "symbols" in done.stderr
    assert len(done.stderr.splitlines()) == 1
