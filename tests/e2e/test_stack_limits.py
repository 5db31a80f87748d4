"""Balances, the breaker and the venue's limits, with a proxy that breaks single requests. One stack for all tests; each leaves
it trading."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from stormdesk.testnet.resilience import Overrides
from tests.e2e.stack_harness import Stack, eventually, free_port, shortened
from tests.e2e.venue_proxy import DROP, Late, Proxy, Said

NUMBERS: Overrides = {
    "breaker": {"failures": 3, "window_s": 20, "open_s": 4},
    "balance": {"max_age_s": 5},
    "order": {"request_timeout_s": 2, "recv_window_ms": 2000, "quiet_s": 4},
    "throttle": {"orders_per_10s": 40},
    "reconcile": {"interval_s": 5},
    "kill_switch": {"verify_s": 2},
}
SERVER_ERROR = Said(500, {"code": -1001, "msg": "Internal error; unable to process your request."})


class Setup:
    """A stack whose leader reaches the venue's REST through a proxy."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.proxy = Proxy(free_port(), f"http://127.0.0.1:{stack.port['venue']}")
        stack.trader_config["venue_rest"] = f"http://127.0.0.1:{self.proxy.port}"


@pytest.fixture(scope="module")
def setup(timers: Callable[[Overrides], Overrides]) -> Iterator[Setup]:
    with shortened(timers(NUMBERS)) as stack:
        setup = Setup(stack)
        setup.proxy.start()
        try:
            stack.up()
            yield setup
        finally:
            setup.proxy.stop()


@pytest.fixture(autouse=True)
def trading(setup: Setup) -> Iterator[None]:
    setup.stack.calm()
    yield
    setup.proxy.rule, setup.proxy.delay_s = (lambda _method, _path: None), 0.0
    setup.stack.trading(deadline_s=60)


def test_scenario_H_10_the_breaker_opens_probes_and_closes_and_survives_a_restart(setup: Setup) -> None:
    stack, shut_s = setup.stack, setup.stack.numbers.breaker.open_s
    setup.proxy.rule = lambda method, path: SERVER_ERROR if (method, path) == ("POST", "order") else None
    eventually("both open", lambda: set(stack.trader("health")["breakers"].values()) == {"OPEN"}, 30)
    opened = time.time()
    stack.kill("trader-a")
    stack.start("trader-a")
    eventually("the trader answers", lambda: stack.trader("health"))
    assert set(stack.trader("health")["breakers"].values()) <= {"OPEN", "HALF_OPEN"}
    eventually("one probe each, and open again", lambda: len([
        line for line in stack.ledger("GATE") if line["t"] > opened and line["gate"].startswith("breaker:") and line["on"]
    ]) >= 4, shut_s + 30)  # fmt: skip
    states = [(line["t"], line["gate"], line["on"]) for line in stack.ledger("GATE")]
    reached = [t for t, method, path in setup.proxy.asked if (method, path) == ("POST", "order")]
    setup.proxy.rule = lambda _method, _path: None
    eventually("closed", lambda: set(stack.trader("health")["breakers"].values()) == {"CLOSED"}, shut_s + 30)
    stack.trading(more=5)
    assert reached
    for symbol in ("BTCUSDT", "ETHUSDT"):
        mine = [(t, on) for t, gate, on in states if gate == f"breaker:{symbol}"]
        cids = {c for (c,) in stack.sql(f"select client_order_id from orders where symbol = '{symbol}'")}  # noqa: S608
        intents = [line["t"] for line in stack.ledger("INTENT") if line["client_order_id"] in cids]
        for (start, on), (end, _) in itertools.pairwise(mine):
            if on:
                assert not [t for t in intents if start + 0.1 < t < end], f"an order of {symbol} while OPEN"


def test_scenario_S1_07_balances_are_refreshed_when_old_before_the_risk_check(setup: Setup) -> None:
    old_s = setup.stack.numbers.balance.max_age_s
    refreshed = "balances: refreshed at an age of"
    eventually("refreshed at an age", lambda: refreshed in setup.stack.said(), old_s + 20)
    assert setup.stack.number("trader_balance_age_seconds") < old_s + 20
    asked = len([1 for _, _, path in setup.proxy.asked if path == "account"])
    setup.stack.trading(more=10)
    assert len([1 for _, _, path in setup.proxy.asked if path == "account"]) > asked
    assert " -> " in setup.stack.said()


def test_scenario_S1_09_a_failed_refresh_refuses_new_and_allows_to_reduce(setup: Setup) -> None:
    stack = setup.stack
    setup.proxy.rule = lambda _method, path: SERVER_ERROR if path == "account" else None

    def skipped(reason: str) -> float:
        return setup.stack.number(f'trader_skipped_total{{reason="{reason}"}}')

    before = skipped("BALANCE_NOT_FRESH")
    eventually(
        "buying is refused", lambda: skipped("BALANCE_NOT_FRESH") > before + 2, stack.numbers.balance.max_age_s + 30
    )
    since = time.time()
    sold = eventually("selling goes on", lambda: [
        row for row in stack.sql(f"select side from orders where created_at > to_timestamp({since}) and state <> 'REJECTED'")  # noqa: S608
        if row[0] == "SELL"
    ], 30)  # fmt: skip
    assert sold
    bought = stack.sql(f"select 1 from orders where created_at > to_timestamp({since + 1}) and side = 'BUY'")  # noqa: S608
    assert not bought


def test_scenario_S1_08_without_any_balance_every_order_is_refused(setup: Setup) -> None:
    stack = setup.stack
    stack.kill("trader-a")
    setup.proxy.rule = lambda _method, path: SERVER_ERROR if path == "account" else None
    stack.start("trader-a")
    eventually("leads", lambda: stack.trader("health")["leader"]["is_leader"], 30)
    since = time.time()
    eventually("not reconciled", lambda: any(r.startswith("reconcile:") for r in stack.trader("ready")["reasons"]))
    time.sleep(3)
    assert not stack.posts(since)
    assert stack.trader("health")["last_reconcile"] is None


def test_scenario_S2_10_after_minutes_of_quiet_balances_are_asked_for_before_the_order(setup: Setup) -> None:
    stack, old_s = setup.stack, setup.stack.numbers.balance.max_age_s
    assert stack.command("pause", reason="quiet", by="alice")[0] == 200
    stack.trader("hold", "POST")
    stack.quiet()
    setup.proxy.rule = lambda _method, path: SERVER_ERROR if path == "account" else None
    time.sleep(old_s + 1)
    setup.proxy.rule = lambda _method, _path: None
    lines, asked = len(stack.said().splitlines()), len(setup.proxy.asked)
    stack.trader("resume", "POST")
    assert stack.command("resume", by="alice")[0] == 200
    stack.trading()
    since = setup.proxy.asked[asked:]
    paths = [(method, path) for _, method, path in since]
    assert paths.index(("GET", "account")) < paths.index(("POST", "order"))
    assert any("balances: refreshed at an age of" in line for line in stack.said().splitlines()[lines:])


def test_scenario_E_04_a_kill_whose_cancels_are_refused_goes_on_until_nothing_is_open(setup: Setup) -> None:
    stack = setup.stack
    halted = Said(400, {"code": -1013, "msg": "Market is closed."})
    assert stack.offer("e04")[0] == 202
    eventually("an open order", lambda: any(o["status"] == "NEW" for o in stack.venue_orders()))
    setup.proxy.rule = lambda method, _path: halted if method == "DELETE" else None
    alarms = stack.number('trader_alarms_total{kind="kill_switch_unverified"}')
    assert stack.command("kill-switch/activate", reason="e04", by="alice")[0] == 200
    raised = 'trader_alarms_total{kind="kill_switch_unverified"}'
    eventually("a person is called", lambda: stack.number(raised) > alarms, stack.numbers.kill_switch.verify_s + 20)
    assert stack.trader("execution/kill-switch/status")["verified"] is False
    setup.proxy.rule = lambda _method, _path: None
    eventually("verified", lambda: stack.trader("execution/kill-switch/status")["verified"], 20)
    assert not [o for o in stack.venue_orders() if o["status"] in ("NEW", "PARTIALLY_FILLED")]
    assert stack.command("kill-switch/reset", by="alice")[0] == 200


def test_scenario_L_04_the_throttle_queue_rises_and_is_empty_again(setup: Setup) -> None:
    stack, limit = setup.stack, setup.stack.numbers.throttle.orders_per_10s
    since = time.time() - 0.3  # the first of them is signed at once
    cids = {f"ext:l04-{n}": stack.offer(f"l04-{n}")[1].get("client_order_id") for n in range(60)}
    deepest = setup.stack.number("trader_throttle_queue_depth")
    eventually("empty", lambda: setup.stack.number("trader_throttle_queue_depth") == 0, 60)
    posts = stack.posts(since)
    times = [line["t"] for line in posts]
    for first in times:  # the limit holds when they go out; on their way they come closer together
        assert sum(first <= t < first + 9 for t in times) <= limit
    ids = [line["client_order_id"] for line in posts]
    assert len(ids) == len(set(ids))
    assert deepest > 0
    skipped = {line["signal"]: line["reason"] for line in stack.ledger("SKIP")}
    ended = {name: "sent" if cid in ids else skipped.get(name) for name, cid in cids.items()}
    print(f"60 signals at once: {Counter(ended.values())}")
    assert None not in ended.values(), "a signal came to nothing and nobody says why"
    assert list(ended.values()).count("sent") >= 30
    assert not [line for line in stack.journal() if line["kind"] == "REJECTED" and line["code"] in (-1003, -1015)]


def test_scenario_SN_03_retry_after_is_honoured_by_every_request_and_over_a_restart(setup: Setup) -> None:
    stack = setup.stack
    for status, seconds in ((429, 3), (418, 5)):
        waits = iter([Said(status, {"code": -1003, "msg": "Too many requests"}, {"Retry-After": str(seconds)})])
        setup.proxy.rule = lambda _method, path: next(waits, None) if path == "time" else None  # noqa: B023
        eventually("told to wait", lambda: "the venue asked us to wait" in str(stack.trader("ready")["reasons"]), 10)
        if status == 418:
            stack.kill("trader-a")
            stack.start("trader-a")
        setup.proxy.rule = lambda _method, _path: None
        stack.trading(deadline_s=40)
        asked = [t for t, _, _ in setup.proxy.asked]
        gap = max(later - earlier for earlier, later in itertools.pairwise(asked))
        print(f"{status} with Retry-After {seconds}: silent for {gap:.2f} s")
        assert gap >= seconds - 0.1


@pytest.fixture
def deaf(setup: Setup) -> Iterator[None]:
    """A trader without a user stream: of an answer that is lost nothing else tells."""

    def listen_at(port: int) -> None:
        setup.stack.trader_config["venue_ws"] = f"ws://127.0.0.1:{port}"
        setup.stack.kill("trader-a")
        setup.stack.start("trader-a")
        setup.stack.trading()

    listen_at(free_port())
    yield
    listen_at(setup.stack.port["venue"])


@pytest.mark.usefixtures("deaf")
def test_scenario_E_08_an_answer_that_is_lost_is_asked_for_and_never_sent_again(setup: Setup) -> None:
    stack = setup.stack
    lost = iter([DROP] * 3)
    since = time.time()
    setup.proxy.rule = lambda method, path: next(lost, None) if (method, path) == ("POST", "order") else None
    eventually("unknown", lambda: len([u for u in stack.ledger("UNKNOWN") if u["t"] > since]) >= 3, 20)
    unknown = {line["client_order_id"] for line in stack.ledger("UNKNOWN") if line["t"] > since}
    eventually("resolved", lambda: unknown <= {line["client_order_id"] for line in stack.ledger("RESOLVED")}, 30)
    for cid in unknown:
        assert len([line for line in stack.posts(since) if line["client_order_id"] == cid]) == 1
    assert all(line["order_id"] for line in stack.ledger("RESOLVED") if line["client_order_id"] in unknown)
    signals = [line["signal"] for line in stack.ledger("INTENT")]
    assert len(signals) == len(set(signals))


@pytest.mark.usefixtures("deaf")
def test_scenario_E_09_an_order_that_is_not_found_right_after_it_was_accepted_is_not_given_up(setup: Setup) -> None:
    stack = setup.stack
    since = time.time()
    lost, absent = iter([DROP]), time.monotonic() + 2.5
    nothing = Said(400, {"code": -2013, "msg": "Order does not exist."})

    def rule(method: str, path: str) -> Said | None:
        if (method, path) == ("POST", "order"):
            return next(lost, None)
        return nothing if (method, path) == ("GET", "order") and time.monotonic() < absent else None

    setup.proxy.rule = rule
    eventually("unknown", lambda: [u for u in stack.ledger("UNKNOWN") if u["t"] > since], 20)
    cid = next(u["client_order_id"] for u in stack.ledger("UNKNOWN") if u["t"] > since)
    found = eventually("resolved", lambda: [r for r in stack.ledger("RESOLVED") if r["client_order_id"] == cid], 30)
    assert found[0]["order_id"] is not None
    assert len([line for line in stack.posts(since) if line["client_order_id"] == cid]) == 1


def test_scenario_K_03_K_05_orders_without_an_answer_wait_for_so_long_and_all_end(setup: Setup) -> None:
    stack, limit_s = setup.stack, setup.stack.numbers.order.request_timeout_s
    since = time.time()
    setup.proxy.rule = lambda method, path: Late(limit_s + 1) if (method, path) == ("POST", "order") else None
    assert [stack.offer(f"k03-{n}")[0] for n in range(5)] == [202] * 5
    time.sleep(limit_s + 2)
    setup.proxy.rule = lambda _method, _path: None
    sent = {line["client_order_id"]: line["t"] for line in stack.ledger("INTENT") if line["t"] > since}
    doubts = [line for line in stack.ledger("UNKNOWN") if line["client_order_id"] in sent]
    waited = [line["t"] - sent[line["client_order_id"]] for line in doubts]
    print(f"{len(waited)} orders without an answer, the longest wait {max(waited, default=0):.2f} s of {limit_s:g}")
    assert len(waited) >= 5
    assert max(waited) < limit_s + 1.5
    stack.trading(deadline_s=60)
    stack.quiet(deadline_s=stack.numbers.order.quiet_s + 40)
    stack.assert_all_ended(since)
    stack.trader("resume", "POST")


def test_scenario_E_11_an_order_that_was_given_up_cannot_fill_later(setup: Setup) -> None:
    """It lies on the wire for longer than its time window: when it arrives the venue takes it no more."""
    stack = setup.stack
    since, lies_s = time.time(), stack.numbers.order.recv_window_ms / 1000 + 1.5
    late = iter([Late(lies_s)])
    setup.proxy.rule = lambda method, path: next(late, None) if (method, path) == ("POST", "order") else None
    within_s = stack.numbers.order.quiet_s + 50

    def given_up() -> list[str]:  # on a busy machine other orders may be unknown for a while
        return [r["client_order_id"] for r in stack.ledger("RESOLVED") if r["t"] > since and r["order_id"] is None]

    (cid, *_) = eventually("given up", given_up, within_s)
    assert cid in {line["client_order_id"] for line in stack.ledger("UNKNOWN") if line["t"] > since}
    assert stack.sql(f"select state from orders where client_order_id = '{cid}'") == [("REJECTED",)]  # noqa: S608
    arrived = [line for line in stack.journal() if line.get("client_order_id") == cid]
    assert {line["kind"] for line in arrived} <= {"REQUEST", "REJECTED"}
    assert [line["code"] for line in arrived if line["kind"] == "REJECTED"] in ([-1021], [])


def test_scenario_H_07_a_slow_venue_pauses_orders_and_a_quick_one_resumes(setup: Setup) -> None:
    stack = setup.stack
    setup.proxy.delay_s = 1.7
    eventually("slow", lambda: "REST_API" in stack.trader("health")["failing_components"], 30)
    reasons = eventually("dor false", lambda: not stack.trader("health")["dor"], 5)
    assert reasons
    setup.proxy.delay_s = 0.0
    began = time.monotonic()
    eventually("dor true", lambda: stack.trader("health")["dor"], 40)
    print(f"dor true {time.monotonic() - began:.1f} s after the venue was quick again")


def test_scenario_K_02_L_08_the_user_stream_comes_back_with_growing_pauses(setup: Setup) -> None:
    """The venue is away for a while: connects of the user stream are 1, 2, 4, 8 s apart."""
    stack = setup.stack
    stack.kill("venue")
    killed, before = time.time(), stack.said().count("user stream: CONN_")
    time.sleep(9)
    stack.start("venue")
    stack.trading(deadline_s=40)
    tries = stack.said().count("user stream: CONN_") - before
    print(f"{tries} failed connects in the {time.time() - killed:.0f} s after the kill")
    assert 2 <= tries <= 6
