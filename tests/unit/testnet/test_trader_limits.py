"""Windows, pauses, the market's slow price, and the comparisons of a reconciliation, without clock or network."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stormdesk.testnet.backoff import Backoff
from stormdesk.testnet.resilience import load
from stormdesk.testnet.trader import drift
from stormdesk.testnet.trader.market import Market
from stormdesk.testnet.trader.strategy import Quote
from stormdesk.testnet.trader.window import SlidingWindow
from stormdesk.testnet.watch import Watch


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(1, 5)), max_size=80))
def test_a_window_that_is_asked_first_is_never_over_its_limit(steps: list[tuple[float, int]]) -> None:
    window, now, added = SlidingWindow(10.0, 12), 0.0, list[tuple[float, int]]()
    for pause, amount in steps:
        now += pause
        now += window.wait_s(amount, now)
        assert window.wait_s(amount, now) <= 1e-9
        window.used(now + 1e-9)
        window.add(amount, now)
        added.append((now, amount))
        assert sum(a for t, a in added if now - 10.0 + 1e-6 < t <= now) <= 12


def test_a_window_takes_the_higher_count() -> None:
    window = SlidingWindow(10.0, 12)
    window.add(2, 0.0)
    window.at_least(9, 1.0)
    window.at_least(3, 1.0)
    assert window.used(1.0) == 9
    assert window.wait_s(3, 1.0) == 0
    assert window.wait_s(4, 1.0) == 9.0
    assert window.used(10.5) == 7
    assert window.wait_s(99, 20.0) == 0


def test_scenario_K_02_pauses_grow_to_the_cap_and_start_again() -> None:
    pauses = Backoff(load({"retry": {"jitter": 0}}).retry, Random(1))
    assert [pauses.next_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    pauses.reset()
    assert pauses.next_s() == 1
    jittery = Backoff(load().retry, Random(1))
    for whole in (1, 2, 4, 8, 10):
        assert 0.8 * whole <= jittery.next_s() <= whole


def test_scenario_E_18_one_wild_quote_does_not_move_the_slow_price() -> None:
    market, calm = Market(), Quote(Decimal(99), Decimal(101))
    assert market.slow("BTCUSDT") is None
    for second in range(60):
        market.hear("BTCUSDT", calm, float(second))
    market.hear("BTCUSDT", Quote(Decimal(149), Decimal(151)), 59.2)
    assert market.slow("BTCUSDT") is not None
    assert abs(market.slow("BTCUSDT") - 100) < 1  # type: ignore[operator]
    for second in range(60, 180):
        market.hear("BTCUSDT", Quote(Decimal(149), Decimal(151)), float(second))
    assert abs(market.slow("BTCUSDT") - 150) < 2  # type: ignore[operator]


def test_scenario_E_18_old_and_crossed_quotes_are_no_quotes() -> None:
    market = Market()
    market.hear("BTCUSDT", Quote(Decimal(99), Decimal(101)), 10.0)
    market.hear("ETHUSDT", Quote(Decimal(101), Decimal(99)), 10.0)
    assert set(market.quotes(14.9, 5.0)) == {"BTCUSDT"}
    assert not market.quotes(15.0, 5.0)


def test_scenario_H_07_p95_is_of_the_last_seconds() -> None:
    watch = Watch()
    for second in range(30):
        watch.good(2.0 if second < 10 else 0.01, float(second))
    assert watch.p95_ms(0.0) == 2000
    assert watch.p95_ms(15.0) == 10
    assert watch.p95_ms(30.0) == 0


def kinds(items: list[drift.Item]) -> list[str]:
    return [item.kind for item in items]


def test_scenario_S2_01_orders_of_others_are_reported_once() -> None:
    listed = {"x-mix-1-A": "BTCUSDT", "by-hand": "BTCUSDT"}
    found = drift.orders({"x-mix-1-A": "BTCUSDT"}, listed, set())
    assert kinds(found) == ["external_order"]
    assert found[0].booked
    assert drift.orders({"x-mix-1-A": "BTCUSDT"}, listed, {"by-hand"}) == []
    assert kinds(drift.orders({"x-mix-1-A": "BTCUSDT"}, {}, set())) == ["order_missing"]
    assert kinds(drift.orders({}, {"x-mix-1-A": "BTCUSDT"}, set())) == ["order_unexpected"]


def test_scenario_E_14_trades_that_the_venue_lost_are_a_rollback() -> None:
    assert drift.trades("BTCUSDT", {1, 2, 3}, {1, 2, 3}, page=1000) == []
    assert kinds(drift.trades("BTCUSDT", {1, 2, 3}, {1}, page=1000)) == ["rollback"]
    assert kinds(drift.trades("BTCUSDT", {1}, {1, 2}, page=1000)) == ["trade_unbooked"]
    assert drift.trades("BTCUSDT", {1, 2, 3, 4}, {3, 4}, page=2) == []  # older ones are on another page
    assert kinds(drift.trades("BTCUSDT", {1, 2}, set(), page=1000)) == ["rollback"]


def test_scenario_S2_09_balances_differ_to_the_last_digit() -> None:
    ours = {"USDT": Decimal("1.00000001"), "BTC": Decimal(2)}
    assert drift.balances(ours, {"USDT": Decimal("1.00000001"), "BTC": Decimal("2.000")}) == {}
    assert drift.balances(ours, {"USDT": Decimal(1), "ETH": Decimal(1)}) == {
        "BTC": Decimal(-2), "ETH": Decimal(1), "USDT": Decimal("-0.00000001"),
    }  # fmt: skip
