"""The matching engine: priority, partial fills, exact funds, and the same state from its journal."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.accounts import Accounts
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.house import House
from stormdesk.testnet.venue.market import Symbol
from stormdesk.testnet.venue.record import HOUSE, NewOrder, Order

BTC = Symbol.parse("BTCUSDT")
OPENING = {
    HOUSE: {"BTC": "1000", "USDT": "100000000"},
    "desk": {"BTC": "10", "USDT": "1000000"},
    "other": {"BTC": "10", "USDT": "1000000"},
}


def exchange() -> Exchange:
    return Exchange({"BTCUSDT": BTC}, Accounts(OPENING))


def order(side: str, qty: str, price: str | None, cid: str = "x", tif: str = "GTC", kind: str = "") -> NewOrder:
    kind = kind or ("LIMIT" if price else "MARKET")
    return NewOrder(cid, BTC, side, kind, Decimal(qty), Decimal(price) if price else None, tif)


def totals(of: Exchange) -> dict[str, Decimal]:
    held = of.accounts.totals().values()
    return {asset: sum((h[asset] for h in held), Decimal(0)) for asset in ("BTC", "USDT")}


def traded(of: Exchange, who: str) -> list[tuple[str, str]]:
    return [(t.price, t.qty) for t in of.trades[who, "BTCUSDT"]]


def amounts(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    return [(f"{Decimal(p):.8f}", f"{Decimal(q):.8f}") for p, q in pairs]


def test_best_price_first_then_first_come() -> None:
    it = exchange()
    it.submit("other", order("SELL", "0.1", "60010", "late-but-worse"), 1.0)
    first = it.submit("other", order("SELL", "0.1", "60000", "first"), 2.0)
    second = it.submit("other", order("SELL", "0.1", "60000", "second"), 3.0)
    it.submit("desk", order("BUY", "0.15", "60010", "taker"), 4.0)
    assert traded(it, "desk") == amounts(("60000", "0.1"), ("60000", "0.05"))
    assert (first.status, second.status) == ("FILLED", "PARTIALLY_FILLED")
    assert it.books["BTCUSDT"].best("SELL") == (Decimal(60000), Decimal("0.05"))


def test_the_rest_of_a_limit_order_rests_and_of_a_market_order_expires() -> None:
    it = exchange()
    it.quote("BTCUSDT", "SELL", Decimal(60000), Decimal("0.1"), 1.0)
    limit = it.submit("desk", order("BUY", "0.3", "60000"), 2.0)
    assert (limit.status, it.books["BTCUSDT"].best("BUY")) == ("PARTIALLY_FILLED", (Decimal(60000), Decimal("0.2")))
    it.quote("BTCUSDT", "SELL", Decimal(60001), Decimal("0.1"), 3.0)
    market = it.submit("desk", order("BUY", "0.3", None, "m"), 4.0)
    assert (market.status, market.executed) == ("EXPIRED", Decimal("0.1"))


@pytest.mark.parametrize(("tif", "qty", "executed", "status"), [
    ("IOC", "0.3", "0.1", "EXPIRED"), ("FOK", "0.3", "0", "EXPIRED"), ("FOK", "0.1", "0.1", "FILLED"),
])  # fmt: skip
def test_time_in_force(tif: str, qty: str, executed: str, status: str) -> None:
    it = exchange()
    it.quote("BTCUSDT", "SELL", Decimal(60000), Decimal("0.1"), 1.0)
    got = it.submit("desk", order("BUY", qty, "60000", tif=tif), 2.0)
    assert (got.executed, got.status) == (Decimal(executed), status)
    assert not it.open_orders("desk")


def test_funds_fees_and_locks_are_exact() -> None:
    it = exchange()
    it.quote("BTCUSDT", "SELL", Decimal("59990.01"), Decimal("0.1"), 1.0)
    it.submit("desk", order("BUY", "0.3", "60000"), 2.0)
    held = it.accounts.of("desk")
    paid = Decimal("59990.01") * Decimal("0.1")
    assert held["USDT"].locked == Decimal(60000) * Decimal("0.2")
    assert held["USDT"].free == Decimal(1_000_000) - paid - held["USDT"].locked
    assert held["BTC"].free == Decimal(10) + Decimal("0.1") - Decimal("0.0001")
    it.cancel(it.open_orders("desk")[0], 3.0)
    assert held["USDT"].locked == 0
    assert held["USDT"].free == Decimal(1_000_000) - paid


@pytest.mark.parametrize(("new", "code", "msg"), [
    (order("BUY", "0.000001", "60000"), -1013, "Filter failure: LOT_SIZE"),
    (order("BUY", "0.1", "60000.001"), -1013, "Filter failure: PRICE_FILTER"),
    (order("BUY", "0.00005", "60000"), -1013, "Filter failure: NOTIONAL"),
    (order("BUY", "1", "900000"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    (order("BUY", "100", "60000"), -2010, "Account has insufficient balance for requested action."),
    (order("SELL", "10.5", None), -2010, "Account has insufficient balance for requested action."),
    (order("BUY", "0.1", "60000", kind="LIMIT_MAKER"), -2010, "Order would immediately match and take."),
])  # fmt: skip
def test_refused_orders_change_nothing(new: NewOrder, code: int, msg: str) -> None:
    it = exchange()
    it.quote("BTCUSDT", "SELL", Decimal(60000), Decimal("1"), 1.0)
    it.take()
    before = it.accounts.totals()
    with pytest.raises(ApiError) as error:
        it.submit("desk", new, 2.0)
    assert (error.value.code, error.value.msg) == (code, msg)
    assert it.take() == []
    assert it.accounts.totals() == before


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    it = exchange()
    it.submit("desk", order("BUY", "0.1", "59000", "same"), 1.0)
    with pytest.raises(ApiError, match="-2010 Duplicate order sent"):
        it.submit("desk", order("BUY", "0.1", "59000", "same"), 2.0)
    it.quote("BTCUSDT", "SELL", Decimal(59000), Decimal("0.1"), 3.0)
    again = it.submit("desk", order("BUY", "0.1", "59000", "same"), 4.0)  # the trap: filled, so taken again
    assert it.find("desk", "BTCUSDT", None, "same") is again


def test_there_are_no_self_trades() -> None:
    it = exchange()
    resting = it.submit("desk", order("SELL", "0.1", "60000", "mine"), 1.0)
    it.submit("desk", order("BUY", "0.1", "60000", "mine-too"), 2.0)
    assert resting.status == "EXPIRED"
    assert traded(it, "desk") == []
    assert it.accounts.of("desk")["BTC"].locked == 0


def test_canceling_what_is_not_open_is_refused() -> None:
    it = exchange()
    it.quote("BTCUSDT", "SELL", Decimal(60000), Decimal("0.1"), 1.0)
    filled = it.submit("desk", order("BUY", "0.1", "60000"), 2.0)
    with pytest.raises(ApiError, match="-2011 Unknown order sent"):
        it.cancel(filled, 3.0)


def play(it: Exchange, seed: int, steps: int) -> list[events.Line]:
    """A random history; its events as they would be in the journal."""
    random, house, lines = Random(seed), House(BTC, Random(seed)), []
    for step in range(steps):
        now = float(step)
        house.step(it, now)
        who = random.choice(("desk", "other"))
        mine = it.open_orders(who)
        if mine and random.random() < 0.3:
            it.cancel(random.choice(mine), now)
        price = str(Decimal(60000) + 6 * random.randrange(-12, 13)) if random.random() < 0.6 else None
        new = order(
            random.choice(("BUY", "SELL")), str(Decimal(random.randrange(10, 40000)) / 100000), price, f"c{step}"
        )
        with contextlib.suppress(ApiError):  # no funds, or a filter
            it.submit(who, new, now)
        lines += [happening.event for happening in it.take()]
    return lines


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_history_conserves_money_and_replays_to_the_same_state(seed: int) -> None:
    it = exchange()
    before = totals(it)
    lines = play(it, seed, 40)
    assert totals(it) == before
    for who in ("desk", "other"):
        assert all(b.free >= 0 and b.locked >= 0 for b in it.accounts.of(who).values())
    again = exchange()
    again.replay(msgspec.json.decode(msgspec.json.encode(line), type=events.Line) for line in lines)
    assert again.orders == it.orders
    assert again.accounts.totals() == it.accounts.totals()
    assert again.trades == it.trades
    for who in ("desk", "other"):
        assert again.accounts.of(who) == it.accounts.of(who)
        assert again.open_orders(who) == it.open_orders(who)


def test_one_seed_gives_one_market() -> None:
    one, two, three = exchange(), exchange(), exchange()
    assert [getattr(line, "price", "") for line in play(one, 5, 30)] == [
        getattr(line, "price", "") for line in play(two, 5, 30)
    ]
    play(three, 6, 30)
    assert one.books["BTCUSDT"].levels("BUY", 20) == two.books["BTCUSDT"].levels("BUY", 20)
    assert one.books["BTCUSDT"].levels("BUY", 20) != three.books["BTCUSDT"].levels("BUY", 20)


def test_the_house_is_never_silent() -> None:
    it, house = exchange(), House(BTC, Random(1))
    for step in range(200):
        house.step(it, float(step))
        assert it.books["BTCUSDT"].diff() is not None
    assert isinstance(it.submit("desk", order("BUY", "0.01", None), 1.0), Order)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), part=st.floats(0, 1))
def test_a_rollback_voids_trades_and_replays(seed: int, part: float) -> None:
    it = exchange()
    before = totals(it)
    lines = play(it, seed, 30)
    for seq, line in enumerate(lines, 1):
        line.seq = seq
    to_seq = int(len(lines) * part)
    void = it.rollback(to_seq, 1_000.0)
    assert set(void) == {t.trade_id for t in lines[to_seq:] if isinstance(t, events.Trade) and t.account != HOUSE}
    assert totals(it) == before
    kept = [t for made in it.trades.values() for t in made]
    for who in ("desk", "other"):
        mine = [t for t in kept if t.account == who]
        coins = sum((Decimal(t.qty) * (1 if t.side == "BUY" else -1) for t in mine), Decimal(0))
        fees = sum((Decimal(t.fee) for t in mine if t.fee_asset == "BTC"), Decimal(0))
        assert it.accounts.totals()[who]["BTC"] == Decimal(10) + coins - fees
        for one in it.orders.values():
            assert one.executed == sum((Decimal(t.qty) for t in kept if t.order_id == one.order_id), Decimal(0))
    again = exchange()
    again.replay([*lines, *(happening.event for happening in it.take())])
    assert (again.orders, again.trades) == (it.orders, it.trades)
    assert again.accounts.totals() == it.accounts.totals()
    assert again.prints == it.prints


def test_a_transfer_comes_from_the_house() -> None:
    it = exchange()
    before = totals(it)
    it.transfer("desk", "BTC", Decimal("1.5"), 1.0)
    assert (it.accounts.free("desk", "BTC"), totals(it)) == (Decimal("11.5"), before)
    with pytest.raises(ValueError, match="less than that"):
        it.transfer("desk", "BTC", Decimal(-12), 2.0)


def test_the_book_as_of_any_update_can_be_reconstructed() -> None:
    it, house = exchange(), House(BTC, Random(3))
    book = it.books["BTCUSDT"]
    seen = {}
    for step in range(100):
        house.step(it, float(step))
        seen[book.update_id] = (book.levels("BUY", 100), book.levels("SELL", 100))
    for update_id, levels in seen.items():
        assert book.at(update_id) == levels
    assert book.at(book.update_id + 1) is None


def test_readers_of_a_book_do_not_take_from_each_other() -> None:
    it, house = exchange(), House(BTC, Random(3))
    book = it.books["BTCUSDT"]
    slow = book.reader()
    levels: dict[Decimal, Decimal] = {}
    for step in range(10):
        house.step(it, float(step))
        diff = book.diff()
        assert diff is not None
        levels |= dict(diff.bids)
    whole = book.diff(slow)
    assert whole is not None
    assert (whole.first, whole.last, dict(whole.bids)) == (1, book.update_id, levels)
    assert {price: qty for price, qty in levels.items() if qty} == dict(book.levels("BUY", 100))
