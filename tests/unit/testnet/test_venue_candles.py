"""Candles from trades, with empty minutes, longer intervals and the day."""

from __future__ import annotations

from decimal import Decimal

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.candles import Candles


def trade(t: float, price: str, qty: str, side: str = "BUY", number: int = 1) -> events.Trade:
    quote = str(Decimal(price) * Decimal(qty))
    return events.Trade(
        t=t, trade_id=number, order_id=1, client_order_id="x", account="desk", symbol="BTCUSDT", side=side, price=price,
        qty=qty, quote_qty=quote, fee="0", fee_asset="BTC", maker=False,
    )  # fmt: skip


def test_minutes_without_trades_are_flat() -> None:
    chart = Candles(Decimal(100))
    chart.trade(trade(61.0, "101", "2"))
    chart.trade(trade(62.0, "99", "1", "SELL", 2))
    chart.trade(trade(242.0, "103", "1", number=3))
    candles = chart.last(1, 10, 300.0)
    assert [c.start for c in candles] == [60_000, 120_000, 180_000, 240_000, 300_000]
    first = candles[0]
    assert (first.open, first.high, first.low, first.close) == (100, 101, 99, 99)
    assert (first.volume, first.quote_volume, first.taken, first.count) == (3, 301, 2, 2)
    assert (first.first_id, first.last_id) == (1, 2)
    assert [(c.open, c.close, c.volume) for c in candles[1:3]] == [(99, 99, 0)] * 2
    assert (candles[3].open, candles[3].high, candles[3].low) == (99, 103, 99)


def test_longer_intervals_and_the_day_join_minutes() -> None:
    chart = Candles(Decimal(100))
    for minute in range(10):
        chart.trade(trade(minute * 60.0, str(100 + minute), "1", number=minute))
    five = chart.last(5, 10, 599.0)
    assert [(c.start, c.open, c.close, c.volume) for c in five] == [(0, 100, 104, 5), (300_000, 104, 109, 5)]
    day = chart.day(599.0)
    assert (day.open, day.high, day.close, day.count, day.last_id) == (100, 109, 109, 10, 9)
    assert chart.mean(5, 599.0) == Decimal(107)
    assert chart.mean(5, 6_000.0) == Decimal(109)
