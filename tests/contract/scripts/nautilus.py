"""nautilus_trader as a live node: instruments, a resting order that is canceled, a market order that fills."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy
from told import KEY, REST, SECRET, WS, control, run

INSTRUMENT = InstrumentId.from_str("BTCUSDT.BINANCE")


class Seen(Strategy):
    """Places, cancels, trades, and notes what it is told."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig())
        self.events: list[str] = []
        self.trades: list[str] = []
        self.books = 0

    def on_start(self) -> None:
        instrument = self.cache.instrument(INSTRUMENT)
        self.subscribe_order_book_deltas(INSTRUMENT)
        price, qty = instrument.make_price(50_000), instrument.make_qty(Decimal("0.01"))
        self.rests = self.order_factory.limit(INSTRUMENT, OrderSide.BUY, qty, price, TimeInForce.GTC)
        self.submit_order(self.rests)

    def on_order_book_deltas(self, _: Any) -> None:
        self.books += 1

    def on_event(self, event: Any) -> None:
        self.events.append(type(event).__name__)

    def on_order_accepted(self, event: Any) -> None:
        if event.client_order_id == self.rests.client_order_id:
            self.cancel_order(self.rests)

    def on_order_canceled(self, _: Any) -> None:
        qty = self.cache.instrument(INSTRUMENT).make_qty(Decimal("0.001"))
        self.submit_order(self.order_factory.market(INSTRUMENT, OrderSide.BUY, qty))

    def on_order_filled(self, event: Any) -> None:
        self.trades.append(str(event.trade_id))


async def check_a_live_node_trades() -> None:
    urls = {"base_url_http": REST, "base_url_ws": WS}
    common = {"api_key": KEY, "api_secret": SECRET, "account_type": BinanceAccountType.SPOT, **urls}
    provider = InstrumentProviderConfig(load_ids=frozenset([INSTRUMENT]))
    node = TradingNode(
        TradingNodeConfig(
            trader_id=TraderId("CONTRACT-001"),
            logging=LoggingConfig(log_level="WARNING"),
            data_clients={BINANCE: BinanceDataClientConfig(instrument_provider=provider, **common)},
            exec_clients={BINANCE: BinanceExecClientConfig(instrument_provider=provider, **common)},
            timeout_connection=20.0,
        )
    )
    seen = Seen()
    node.trader.add_strategy(seen)
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    node.build()
    running = asyncio.create_task(node.run_async())
    try:
        while not (seen.trades and seen.books):
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
    finally:
        await node.stop_async()
        running.cancel()
    made = {str(x["trade_id"]) for x in control("journal?since=0") if x["kind"] == "TRADE" and x["account"] == "desk"}
    assert set(seen.trades) == made
    assert {"OrderSubmitted", "OrderAccepted", "OrderCanceled", "OrderFilled"} <= set(seen.events)


if __name__ == "__main__":
    run(globals())
