"""The trader's market data from the bus: what counts as news of the market."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from stormdesk.testnet.bus import Message
from stormdesk.testnet.trader.market import Market
from stormdesk.testnet.trader.market_data import MarketData
from stormdesk.testnet.trader.metrics import Metrics

DATA = {"trade": {"t": 5}, "depth@100ms": {"u": 6}, "bookTicker": {"u": 7, "b": "1", "a": "2"}}


class Delivered:
    """A bus that delivers these messages, and then none."""

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages

    async def publish(self, messages: Sequence[Message]) -> None: ...

    async def read(self, wait_s: float) -> list[bytes]:
        await asyncio.sleep(0)
        found, self.messages = self.messages, []
        return found

    async def lag(self) -> int:
        return 0

    async def close(self) -> None: ...


def age_after(*streams: str) -> float:
    """The age of the market data after one message of each of these streams; infinite: never heard of."""
    messages = [
        msgspec.json.encode(
            {
                "id": f"m{n}",
                "key": "BTCUSDT",
                "run": 1,
                "n": n,
                "stream": f"btcusdt@{stream}",
                "t": 1.0,
                "data": DATA[stream],
            }
        )
        for n, stream in enumerate(streams, 1)
    ]
    data = MarketData(Delivered(messages), Market(), Metrics())

    async def scenario() -> float:
        following = asyncio.create_task(data.follow())
        for _ in range(20):
            await asyncio.sleep(0)
        following.cancel()
        return data.age_s()

    return asyncio.run(scenario())


def test_scenario_SN_05_only_a_quote_is_news_of_the_market() -> None:
    """While the stream repeats itself, trades and books are still fetched over REST."""
    assert age_after("bookTicker") < 5
    assert age_after("trade", "depth@100ms") == float("inf")
