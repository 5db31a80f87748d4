"""The gates of a running trader: signals that come twice, the kill switch, pauses, the guard's files, limits. One stack
for all tests; each leaves it trading."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from stormdesk.testnet.resilience import Overrides
from tests.e2e.stack_harness import Stack, eventually, shortened, text

NUMBERS: Overrides = {"dedup": {"ttl_s": 5}, "risk": {"repeats": 120, "repeat_window_s": 10}}


@pytest.fixture(scope="module")
def stack(timers: Callable[[Overrides], Overrides]) -> Iterator[Stack]:
    with shortened(timers(NUMBERS)) as stack:
        stack.up()
        yield stack


@pytest.fixture(autouse=True)
def trading(stack: Stack) -> Iterator[None]:
    """Every test begins and ends with orders being accepted."""
    stack.trading()
    yield
    stack.trading()


def restart(stack: Stack) -> None:
    stack.kill("trader-a")
    stack.start("trader-a")
    eventually("the trader answers", lambda: stack.trader("health"))


def test_scenario_H_08_ten_rapid_signals_give_one_order(stack: Stack) -> None:
    answers = [stack.offer("h08") for _ in range(10)]
    assert [status for status, _ in answers] == [202] + [200] * 9
    assert all(body == {"skipped": "DUPLICATE_SIGNAL"} for _, body in answers[1:])
    cid = answers[0][1]["client_order_id"]
    eventually(
        "accepted", lambda: [e for e in stack.journal() if e["kind"] == "ACCEPTED" and e["client_order_id"] == cid]
    )
    assert json.loads((stack.home / "trader-a/runtime/order_sigs.json").read_bytes())["signals"]["ext:h08"] > 0
    restart(stack)
    eventually("leads again", lambda: stack.offer("h08")[0] == 200)
    assert stack.offer("h08") == (200, {"skipped": "DUPLICATE_SIGNAL"})
    # Without the file, and in a new epoch, the database is what remembers.
    stack.kill("trader-a")
    (stack.home / "trader-a/runtime/order_sigs.json").unlink()
    stack.start("trader-a")
    eventually("the trader answers", lambda: stack.trader("health"))
    eventually("leads again", lambda: stack.offer("h08")[0] == 200)
    time.sleep(stack.numbers.dedup.ttl_s + 0.1)  # longer than the signal is remembered by the file
    assert stack.offer("h08") == (200, {"skipped": "DUPLICATE_SIGNAL"})
    assert stack.sql("select count(*) from orders where signal = 'ext:h08'") == [(1,)]
    assert len([line for line in stack.ledger("INTENT") if line["signal"] == "ext:h08"]) == 1
    assert len([line for line in stack.posts() if line["client_order_id"] == cid]) == 1
    eventually("lines", lambda: len([line for line in stack.ledger("SKIP") if line["signal"] == "ext:h08"]) >= 11)


def test_scenario_E_20_the_id_of_a_filled_order_is_never_used_again(stack: Stack) -> None:
    """The venue would take it: Binance keeps client ids unique among open orders alone."""
    cid = stack.offer("e20", type="MARKET", price="0")[1]["client_order_id"]

    def filled() -> bool:
        return [o["status"] for o in stack.venue_orders() if o["clientOrderId"] == cid] == ["FILLED"]

    eventually("filled", filled)
    restart(stack)
    eventually("leads again", lambda: stack.trader("health")["leader"]["is_leader"])
    time.sleep(stack.numbers.dedup.ttl_s + 0.1)  # the file has forgotten it, too
    again = eventually("answers", lambda: stack.offer("e20", type="MARKET", price="0"))
    assert again == (200, {"skipped": "DUPLICATE_SIGNAL"})
    assert len([line for line in stack.posts() if line["client_order_id"] == cid]) == 1


def test_scenario_S2_08_balances_are_asked_for_again_after_fills(stack: Stack) -> None:
    """They are not old by far: what was filled makes them so."""
    assert stack.numbers.balance.max_age_s > 60
    for n in range(3):
        time.sleep(1.0)
        began = time.time()
        assert stack.offer(f"s208-{n}", type="MARKET", price="0")[0] == 202
        eventually("a fill", lambda: [f for f in stack.ledger("FILL") if f["t"] > began])  # noqa: B023
        stack.trading(more=1)
        assert stack.number("trader_balance_age_seconds") < time.time() - began


def test_scenario_H_09_sell_without_position_never_reaches_the_venue(stack: Stack) -> None:
    """More is for sale than is there: of what the books say, not of what the venue would say."""
    held = stack.sql("select position from positions where asset = 'BTC'")[0][0]
    qty = f"{held + 1:.5f}"
    assert stack.offer("h09", side="SELL", price="61000.00", qty=qty) == (200, {"skipped": "SKIP_NO_POSITION"})
    skips = eventually("a line", lambda: [line for line in stack.ledger("SKIP") if line["signal"] == "ext:h09"])
    assert [line["reason"] for line in skips] == ["SKIP_NO_POSITION"]
    assert not [line for line in stack.ledger("INTENT") if line["signal"] == "ext:h09"]
    assert not stack.sql("select 1 from orders where signal = 'ext:h09'")
    assert 'trader_skipped_total{reason="SKIP_NO_POSITION"} 1.0' in text(stack.url("a", "metrics"))


def test_scenario_S4_01_kill_switch_cancels_verifies_and_survives(stack: Stack) -> None:
    assert stack.offer("s401")[0] == 202
    eventually("an open order", lambda: any(o["status"] == "NEW" for o in stack.venue_orders()))
    status, body = stack.command("kill-switch/activate", reason="test", by="alice")
    assert (status, body["active"], body["persisted"]) == (200, True, True)
    killed_at = time.time()
    verified = eventually("verified", lambda: stack.trader("execution/kill-switch/status")["verified"], 10)
    print(f"zero open at the venue, verified {time.time() - killed_at:.2f} s after the kill")
    assert verified
    assert not [o for o in stack.venue_orders() if o["status"] in ("NEW", "PARTIALLY_FILLED")]
    assert "kill_switch: test" in stack.trader("ready")["reasons"]
    assert stack.offer("s401b")[0] == 503
    restart(stack)
    assert stack.trader("health")["kill_switch"] == {"active": True, "reason": "test"}
    eventually("leads", lambda: stack.trader("health")["leader"]["is_leader"])
    for nobody in ({}, {"by": " "}, {"by": "guard"}):
        assert stack.command("kill-switch/reset", **nobody)[0] == 400
    state = stack.home / "trader-a/execution/kill_switch_state.json"
    state.write_bytes(state.read_bytes()[:20])  # torn: nobody knows what it said
    restart(stack)
    assert stack.trader("health")["kill_switch"]["active"] is True
    eventually("verified again", lambda: stack.trader("execution/kill-switch/status")["verified"], 20)
    assert not stack.posts(killed_at)
    assert stack.command("kill-switch/reset", by="alice")[0] == 200
    stack.trading()
    gates = [(line["on"], line["reason"]) for line in stack.ledger("GATE") if line["gate"] == "kill_switch"]
    assert (True, "test") in gates
    assert (False, "reset by alice") in gates
    assert gates[-1][0] is False  # who takes the lead restates how its gates stand


def test_scenario_B_06_the_kill_switch_works_while_all_else_is_dead(stack: Stack) -> None:
    """Feed, Redis and PostgreSQL are gone: orders are still taken back."""
    assert stack.offer("b06")[0] == 202
    eventually("an open order", lambda: any(o["status"] == "NEW" for o in stack.venue_orders()))
    stack.kill("feeder")
    stack.kill("redis")
    stack.kill("postgres", signal.SIGINT)
    assert stack.command("kill-switch/activate", reason="plane", by="alice")[0] == 200
    eventually("verified", lambda: stack.trader("execution/kill-switch/status")["verified"], 10)
    assert not [o for o in stack.venue_orders() if o["status"] in ("NEW", "PARTIALLY_FILLED")]
    stack.redis()
    stack.postgres()
    stack.start("feeder")
    eventually("well again", lambda: stack.trader("health")["dor"], 60)
    assert stack.command("kill-switch/reset", by="alice")[0] == 200
    stack.trading(deadline_s=60)


def test_a_pause_of_the_orchestrator_survives_a_restart(stack: Stack) -> None:
    assert stack.command("pause", reason="leader lock lost", by="orchestrator")[1] == {
        "paused": True,
        "persisted": True,
    }
    paused_at = time.time()
    restart(stack)
    eventually("leads", lambda: stack.trader("health")["leader"]["is_leader"])
    eventually("only the pause", lambda: stack.trader("ready")["reasons"] == ["pause: leader lock lost (orchestrator)"])
    assert not stack.posts(paused_at)
    assert stack.command("resume", by="orchestrator") == (200, {"paused": False})


def test_scenario_H_03_stop_txt_and_read_only_stop_orders(stack: Stack) -> None:
    guard = stack.home / "guard-a"
    guard.mkdir(exist_ok=True)
    for name, content, gate in (
        ("STOP.TXT", "FAILSAFE", "stop"),
        ("global_flags.json", '{"SIGNAL_READ_ONLY": true, "reason": "failsafe", "t": 1}', "read_only"),
    ):
        (guard / name).write_text(content)
        eventually(gate, lambda: any(r.startswith(gate) for r in stack.trader("ready")["reasons"]), 10)  # noqa: B023
        stopped_at = time.time()
        assert stack.offer(f"h03-{gate}")[0] == 503
        time.sleep(2)
        assert not stack.posts(stopped_at)
        (guard / name).unlink()
        stack.trading()


def test_scenario_E_18_orders_far_from_the_market_or_too_large_never_reach_the_venue(stack: Stack) -> None:
    for name, terms, reason in (
        ("collar", {"price": "99999.00"}, "PRICE_COLLAR"),
        ("value", {"qty": "0.90000"}, "MAX_ORDER_VALUE"),
        ("qty", {"qty": "1.50000"}, "MAX_ORDER_QTY"),
    ):
        assert stack.offer(f"e18-{name}", **terms) == (200, {"skipped": reason})
    for bad in (
        {"side": "HOLD"},
        {"symbol": "XXXUSDT"},
        {"qty": "-1"},
        {"qty": "0.000001"},
        {"price": "NaN"},
        {"qty": "x"},
    ):
        status, body = stack.offer("e18-bad", **bad)
        assert (status, list(body)) == (400, ["error"])
    refused = {"PRICE_COLLAR", "MAX_ORDER_VALUE", "MAX_ORDER_QTY"}

    def reasons() -> set[str]:
        return {line["reason"] for line in stack.ledger("SKIP") if line["signal"].startswith("ext:e18-")}

    eventually("lines", lambda: reasons() == refused)
    assert not [line for line in stack.ledger("INTENT") if line["signal"].startswith("ext:e18-")]


def test_scenario_E_19_a_runaway_strategy_trips_and_a_person_re_enables_it(stack: Stack) -> None:
    statuses = [stack.offer(f"e19-{n}", price="99999.00")[0] for n in range(stack.numbers.risk.repeats + 5)]
    assert (statuses[0], statuses[-1]) == (200, 503)
    status, body = stack.offer("e19-more")
    assert status == 503
    assert any(reason.startswith("repeats:ext") for reason in body["reasons"])
    stack.trading()  # the other strategy goes on
    restart(stack)
    eventually("leads", lambda: stack.trader("health")["leader"]["is_leader"])
    eventually("still shut", lambda: "repeats:ext" in str(stack.offer("e19-after")[1]))
    assert stack.command("repeats/reset", by="orchestrator")[0] == 400
    assert stack.command("repeats/reset", by="alice", strategy="ext") == (200, {"closed": {}})
    eventually("open again", lambda: stack.offer("e19-open")[0] == 202)
