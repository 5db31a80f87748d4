"""What the venue does behind our back: trades by hand, reports twice, answers that are old or another's, rollbacks, lines
that break. The books follow, or trading stops until they do. One stack for all tests; each leaves it trading and exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from stormdesk.testnet.resilience import Overrides
from tests.conftest import SHORT_TIMERS
from tests.e2e.stack_harness import Stack, eventually, get, post, shortened

NUMBERS: Overrides = {**SHORT_TIMERS, "reconcile": {"interval_s": 3}, "balance": {"max_age_s": 3}}


@pytest.fixture(scope="module")
def stack(timers: Callable[[Overrides], Overrides]) -> Iterator[Stack]:
    with shortened(timers(NUMBERS)) as stack:
        stack.up()
        yield stack


@pytest.fixture(autouse=True)
def exact(stack: Stack) -> Iterator[None]:
    """Every test ends with orders being accepted and with books that equal the venue's to the last digit."""
    stack.calm()
    yield
    stack.trading(deadline_s=60)
    stack.quiet(deadline_s=stack.numbers.order.quiet_s + 40)
    found = {
        asset: Decimal(b["free"]) + Decimal(b["locked"])
        for asset, b in get(stack.url("control", "balances"))["desk"].items()
    }
    assert dict(stack.sql("select asset, position from positions")) == found
    void = {trade for line in stack.journal() if line["kind"] == "ROLLBACK" for trade in line["trades"]}
    theirs = {line["trade_id"] for line in stack.journal() if line["kind"] == "TRADE" and line["account"] == "desk"}
    assert {trade for (trade,) in stack.sql("select trade_id from fills")} == theirs - void
    stack.trader("resume", "POST")


def alarms(stack: Stack, kind: str) -> float:
    return stack.number(f'trader_alarms_total{{kind="{kind}"}}')


def gate_lines(stack: Stack, gate: str, since: float) -> list[bool]:
    return [line["on"] for line in stack.ledger("GATE") if line["gate"] == gate and line["t"] > since]


def reconcile(stack: Stack, **body: str) -> tuple[int, Any]:
    return post(stack.url("a", "reconcile"), body)


def test_a_reconciliation_in_the_middle_of_trading_finds_nothing(stack: Stack) -> None:
    for _ in range(3):
        status, answer = reconcile(stack)
        assert (status, answer) == (200, {"clean": True, "drift": [], "mended": []})
    assert stack.trader("health")["last_reconcile"]["drift"] == 0
    assert reconcile(stack, accept="rollback")[0] == 400  # nobody's name
    assert reconcile(stack, accept="everything", by="alice")[0] == 400


def test_scenario_S2_02_a_close_by_hand_is_reported_as_drift_and_booked(stack: Stack) -> None:
    since, before = time.time(), alarms(stack, "drift")
    stack.fault("external-order", 1, side="SELL", worth="500")
    eventually("reported", lambda: alarms(stack, "drift") > before, stack.numbers.reconcile.interval_s + 20)
    eventually("paused, and on again", lambda: gate_lines(stack, "reconcile", since) == [True, False], 20)
    foreign = stack.sql("select client_order_id, side from fills where client_order_id not like 'x-%'")
    assert foreign
    assert {side for _, side in foreign} == {"SELL"}
    assert not stack.sql("select 1 from orders where client_order_id not like 'x-%'")


def test_scenario_S2_01_SB_02_a_partial_fill_is_what_the_venue_says_it_is(stack: Stack) -> None:
    since = time.time()
    fault = stack.fault("partial-fill", 20, share="100%", filled="50%")
    query = f"select client_order_id, qty from orders where state = 'EXPIRED' and created_at > to_timestamp({since})"  # noqa: S608
    cid, qty = eventually("an order that was filled in part", lambda: stack.sql(query), 20)[0]
    assert stack.fault_over(fault) > 0
    booked = stack.sql(f"select sum(qty) from fills where client_order_id = '{cid}'")[0][0]  # noqa: S608
    assert 0 < booked < qty


def test_scenario_S2_03_S2_04_reports_that_come_twice_are_booked_once(stack: Stack) -> None:
    fault = stack.fault("duplicate-report", 40, share="100%")
    eventually("reports came twice", lambda: stack.hits(fault) >= 10, 20)
    stack.kill("trader-a")  # whatever it kept in memory about fills is gone: the database knows them
    stack.start("trader-a")
    before = stack.hits(fault)
    stack.trading(more=5, deadline_s=60)
    eventually("and again", lambda: stack.hits(fault) > before, 20)
    stack.fault_over(fault)
    fills = [line["trade_id"] for line in stack.ledger("FILL")]
    assert len(fills) == len(set(fills))


def test_scenario_S2_05_a_confirmation_with_another_orders_id_is_not_believed(stack: Stack) -> None:
    since, before = time.time(), alarms(stack, "duplicate_confirmation")
    fault = stack.fault("duplicate-confirmation", 20, share="100%")
    eventually("alarm", lambda: alarms(stack, "duplicate_confirmation") > before, 20)
    stack.fault_over(fault)
    known = {
        line["client_order_id"]: line["order_id"]
        for line in stack.journal()
        if line["kind"] == "ACCEPTED" and line["t"] > since
    }

    def told() -> dict[str, int]:
        lines = [line for kind in ("ACK", "RESOLVED") for line in stack.ledger(kind)]
        return {line["client_order_id"]: line["order_id"] for line in lines if line["client_order_id"] in known}

    assert known
    eventually("every order has an id", lambda: told().keys() == known.keys(), 30)
    assert told() == known


@pytest.mark.parametrize(("scenario", "name"), [("S2_06", "drop-response"), ("S2_07", "partial-response")])
def test_scenario_S2_06_S2_07_a_take_over_stays_paused_until_a_reconciliation_succeeds(
    stack: Stack, scenario: str, name: str
) -> None:
    """It times out, or breaks off in the middle of what the venue says."""
    stack.kill("trader-a")
    fault = stack.fault(name, 25, share="100%", on="signed")
    stack.start("trader-a")
    since = time.time()
    eventually("answers", lambda: stack.trader("health"))
    time.sleep(6)
    assert not stack.posts(since)
    assert stack.trader("ready")["ready"] is False
    stack.fault_over(fault)
    stack.trading(deadline_s=30)
    first = min(line["t"] for line in stack.posts(since))
    opened = [
        line["t"]
        for line in stack.ledger("GATE")
        if line["gate"] == "reconcile" and not line["on"] and line["t"] > since
    ]
    assert opened[0] < first


def test_scenario_S2_09_old_positions_are_noticed_and_not_traded_on(stack: Stack) -> None:
    before, until_asked = alarms(stack, "stale_account"), stack.numbers.balance.max_age_s
    fault = stack.fault("stale-positions", until_asked + 25)
    eventually("noticed", lambda: alarms(stack, "stale_account") > before, until_asked + 20)
    assert stack.fault_over(fault) > 0


WEATHER = {
    "SN_02": ("drop-response", {"share": "30%", "on": "signed"}),
    "SN_04": ("error-5xx", {"share": "20%"}),
    "SN_05": ("stale-data", {}),
    "SN_06": ("partial-response", {"share": "30%"}),
    "SB_01": ("delay", {"by": "2500ms", "share": "20%", "on": "signed"}),
}


@pytest.mark.parametrize("scenario", WEATHER)
def test_scenario_of_answers_that_are_lost_late_wrong_or_cut(stack: Stack, scenario: str) -> None:
    """No order is sent twice, and every one ends."""
    name, params = WEATHER[scenario]
    since = time.time()
    fault = stack.fault(name, 8, **params)
    eventually("over", lambda: not get(stack.url("control", f"faults/{fault}"))["on"], 20)
    assert stack.hits(fault) > 0
    stack.trading(deadline_s=60)
    eventually("no doubt left", lambda: stack.number("trader_order_unknown") == 0, stack.numbers.order.quiet_s + 30)
    ids = [line["client_order_id"] for line in stack.posts(since)]
    assert len(ids) == len(set(ids))
    print(f"{scenario} {name}: {len(ids)} orders sent meanwhile and after")


def test_scenario_R_04_signals_that_are_given_again_after_a_failure_make_no_second_order(stack: Stack) -> None:
    fault = stack.fault("drop-response", 6, share="100%", on="orders")
    names = [f"r04-{n}" for n in range(5)]
    for _ in range(3):  # a sender that never hears of its orders asks again and again
        for name in names:
            stack.offer(name)
    stack.fault_over(fault)
    eventually(
        "all taken",
        lambda: all(stack.offer(n) == (200, {"skipped": "DUPLICATE_SIGNAL"}) for n in names),
        stack.numbers.breaker.open_s + 60,
    )
    rows = stack.sql("select signal, count(*) from orders where signal like 'ext:r04-%' group by signal")
    assert sorted(rows) == [(f"ext:{name}", 1) for name in names]


def test_scenario_E_14_a_rollback_stops_trading_until_a_person_accepts_it(stack: Stack) -> None:
    stack.trading(more=10)
    stack.fault("rollback", 1, last="4s")
    void = eventually("rolled back", lambda: [line for line in stack.journal() if line["kind"] == "ROLLBACK"], 10)[-1][
        "trades"
    ]
    assert void
    between_s = stack.numbers.reconcile.interval_s
    eventually("alarm", lambda: alarms(stack, "rollback") > 0, between_s + 30)
    assert any("no longer has" in reason for reason in stack.trader("ready")["reasons"])
    since = time.time()
    time.sleep(between_s + 1)
    assert not stack.posts(since)
    assert reconcile(stack, accept="rollback", by="guard")[0] == 400
    _status, answer = eventually(
        "accepted", lambda: (r := reconcile(stack, accept="rollback", by="alice"))[0] == 200 and r, 20
    )
    assert [item["kind"] for item in answer["mended"]]
    eventually("clean", lambda: reconcile(stack)[1].get("clean"), 20)
    mended = {trade for line in stack.ledger("MEND") for trade in line["voided"]}
    assert mended == set(void)
    theirs = {order["clientOrderId"]: order["status"] for order in stack.venue_orders()}
    ours = dict(stack.sql("select client_order_id, state from orders where state in ('FILLED', 'CANCELED', 'EXPIRED')"))
    assert {cid: theirs[cid] for cid in ours} == ours


def test_scenario_E_10_L_07_fills_are_found_while_the_user_stream_is_gone(stack: Stack) -> None:
    fault = stack.fault("token-expiry", 12, every="1s")
    eventually("ended", lambda: stack.hits(fault) >= 2, 15)
    stack.trading(more=10)
    assert stack.fault_over(fault) >= 2


def test_scenario_E_13_cancels_work_while_the_venue_takes_no_orders(stack: Stack) -> None:
    cid = stack.offer("e13")[1]["client_order_id"]
    eventually(
        "it rests", lambda: any(o["clientOrderId"] == cid and o["status"] == "NEW" for o in stack.venue_orders())
    )
    fault = stack.fault("cancel-only", 12)
    eventually("breakers are open", lambda: "OPEN" in stack.trader("health")["breakers"].values(), 15)
    stack.trader("hold", "POST")  # takes back what rests
    eventually("nothing rests", lambda: stack.trader("drain")["in_flight"] == 0, 15)
    assert [line for line in stack.journal() if line["kind"] == "CANCELED" and line["client_order_id"] == cid]
    assert get(stack.url("control", f"faults/{fault}"))["on"], "the fault was over before"
    stack.trader("resume", "POST")
    assert stack.fault_over(fault) > 0


@pytest.mark.parametrize("by", ["5s", "-5s", "-60s"])
def test_scenario_E_16_a_wrong_clock_is_followed(stack: Stack, by: str) -> None:
    fault = stack.fault("clock-offset", 8, by=by)
    time.sleep(1.5)
    began = time.monotonic()
    stack.trading(more=3)
    print(f"venue's clock {by}: 3 orders {time.monotonic() - began:.1f} s later")
    assert stack.fault_over(fault) > 0
    stack.trading(more=3)


@pytest.mark.parametrize(("restored", "code"), [("data-lost", "1101"), ("data-kept", "1102")])
def test_scenario_K_01_a_line_that_breaks_pauses_and_its_return_is_reconciled_first(
    stack: Stack, restored: str, code: str
) -> None:
    since = time.time()
    stack.fault("persona", 5, restored=restored)
    eventually("paused", lambda: gate_lines(stack, "broker", since) == [True], 10)
    paused = time.time()
    eventually("back", lambda: gate_lines(stack, "broker", since)[-1] is False, 20)
    assert not [line for line in stack.posts(paused) if line["timestamp"] / 1000 < since + 4.5]
    stack.trading(deadline_s=30)
    lines = [(line["gate"], line["on"], line["reason"]) for line in stack.ledger("GATE") if line["t"] > since]
    assert any(gate == "reconcile" and on and code in reason for gate, on, reason in lines) or code == "1101"
    order = [gate for gate, on, _ in lines if (gate == "broker" and not on) or (gate == "reconcile" and not on)]
    assert order[-1] == "reconcile"


def test_scenario_SN_01_connections_are_refused(stack: Stack) -> None:
    since = time.time()
    stack.kill("venue")
    eventually("said", lambda: stack.trader("health")["components"]["REST_API"].get("error") == "CONN_REFUSED", 15)
    stack.start("venue")
    stack.trading(deadline_s=40)
    stack.quiet(deadline_s=stack.numbers.order.quiet_s + 40)
    stack.assert_all_ended(since)
    stack.trader("resume", "POST")


@pytest.mark.parametrize("rest", ["silent", "500"])
def test_scenario_E_12_a_frozen_venue_stops_orders_and_nothing_is_sent_twice(stack: Stack, rest: str) -> None:
    since = time.time()
    fault = stack.fault("freeze", 8, rest=rest)
    eventually("noticed", lambda: not stack.trader("ready")["ready"], 10)
    eventually("over", lambda: not get(stack.url("control", f"faults/{fault}"))["on"], 20)
    stack.trading(deadline_s=40)
    ids = [line["client_order_id"] for line in stack.posts(since)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("name", "params"), [("rate-limit", {"share": "10%", "retry_after": "2s"}), ("ban", {"retry_after": "3s"})]
)
def test_scenario_SB_03_nothing_is_sent_before_the_wait_is_over(
    stack: Stack, name: str, params: dict[str, str]
) -> None:
    since = time.time()
    fault = stack.fault(name, 10, **params)
    eventually("struck", lambda: stack.hits(fault) >= 1, 10)
    eventually("over", lambda: not get(stack.url("control", f"faults/{fault}"))["on"], 20)
    stack.trading(deadline_s=30)
    throttled = [line for line in stack.journal() if line["kind"] == "THROTTLED" and line["t"] > since]
    early = [line for line in stack.journal() if line["kind"] == "EARLY" and line["t"] > since]
    on_the_wire = [e for e in early if any(0 <= e["t"] - told["t"] < 1 for told in throttled)]  # as I-12 has it
    print(f"{name}: told to wait {len(throttled)} times, {len(on_the_wire)} requests were on their way")
    assert throttled
    assert [line for line in early if line not in on_the_wire] == []
