"""A real venue, a TCP relay, a real feeder and a real bus on loopback, and everything that a reader of the bus received."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import msgspec
import redis
from aiokafka import AIOKafkaConsumer

from stormdesk.testnet.bus.consumer import Inbox
from stormdesk.testnet.feeder.records import Records
from stormdesk.testnet.venue.signing import sign
from tests.e2e import stack_kafka
from tests.e2e.stack_harness import SYMBOLS, Stack, eventually, free_port, get, text
from tests.e2e.wire import Wire

RTO_S = 30.0


class Feeding:
    """Venue, wire, feeder and bus: Redis, or Kafka."""

    def __init__(self, stack: Stack, *, kafka: bool = False) -> None:
        self.stack = stack
        port = free_port()
        self.wire = Wire(port, stack.port["venue"])
        self._kafka = kafka
        stack_kafka.broker(stack) if kafka else stack.redis()
        stack.start("venue", limits={"orders_per_10s": 10_000, "weight_per_min": 1_000_000})
        at = {"venue_rest": f"http://127.0.0.1:{port}", "venue_ws": f"ws://127.0.0.1:{port}"}
        eventually("the venue answers", lambda: get(stack.url("control", "health"))["ok"])
        stack.start("feeder", **at)
        self.synced()

    def order(self, count: int = 1) -> None:
        """Market orders, symbol by symbol; each is at least one public trade."""
        for n in range(count):
            order = {
                "symbol": SYMBOLS[n % 2],
                "side": ("BUY", "SELL")[n // 2 % 2],
                "type": "MARKET",
                "quantity": "0.01",
            }
            query = urlencode({**order, "timestamp": int(time.time() * 1000), "recvWindow": 60_000})
            url = f"{self.stack.url('venue', 'api/v3/order')}?{query}&signature={sign('test-secret', query)}"
            with urlopen(Request(url, method="POST", headers={"X-MBX-APIKEY": "test-key"}), timeout=10):  # noqa: S310
                pass

    def metric(self, name: str) -> float:
        lines = text(self.stack.url("feeder", "metrics")).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"feeder_{name} "))

    def made(self, symbol: str) -> list[int]:
        """The ids of all trades of a symbol, as the venue's control port knows them."""
        return [trade["id"] for trade in get(self.stack.url("control", f"trades?symbol={symbol}&from=0"))]

    def close(self) -> None:
        self.wire.close()
        self.stack.down()

    def bus(self) -> tuple[Inbox, dict[str, list[int]]]:
        """Everything on the bus as a reader takes it: what it counted, and the trades in the order of their effects."""
        inbox, trades = Inbox(), {symbol: [] for symbol in SYMBOLS}
        for message in asyncio.run(self._topic()) if self._kafka else self._entries():
            envelope = inbox.take(message)
            if envelope and envelope.stream.endswith("@trade"):
                trades[envelope.key].append(msgspec.json.decode(envelope.data)["t"])
        return inbox, trades

    def _entries(self) -> list[bytes]:
        client = redis.Redis(port=self.stack.port["redis"], protocol=2)
        entries: Any = client.xrange("md")
        client.close()
        return [line for _, fields in entries for line in fields[b"m"].split(b"\n")]

    async def _topic(self) -> list[bytes]:
        """All messages of the topic; each key's are in the order of its partition."""
        server = f"127.0.0.1:{self.stack.port['kafka']}"
        consumer = AIOKafkaConsumer("md", bootstrap_servers=server, auto_offset_reset="earliest")
        await consumer.start()
        try:
            found: list[bytes] = []
            ends = await consumer.end_offsets(list(consumer.assignment()))
            while sum(ends.values()) > sum([await consumer.position(partition) for partition in ends]):
                batches = await consumer.getmany(timeout_ms=500)
                found += [record.value for records in batches.values() for record in records]
            return found
        finally:
            await consumer.stop()

    def books_agree(self, symbol: str) -> bool:
        """Whether the feeder's book is the venue's of the same update id, level by level."""
        mine = get(self.stack.url("feeder", f"book?symbol={symbol}"))
        if not mine["synced"]:
            return False
        venues = get(self.stack.url("control", f"depth?symbol={symbol}&at={mine['lastUpdateId']}"))
        assert [mine["bids"], mine["asks"]] == [venues["bids"], venues["asks"]]
        return True

    def synced(self, deadline_s: float = RTO_S) -> None:
        for symbol in SYMBOLS:
            eventually(f"{symbol} agrees", lambda name=symbol: self.books_agree(name), deadline_s)

    def complete(self, since: dict[str, int] | None = None, deadline_s: float = RTO_S) -> Inbox:
        """Every trade from `since` on is on the bus, each with one effect; the files say so, and no gap is open."""
        wanted = {s: [n for n in self.made(s) if n >= (since or {}).get(s, 0)] for s in SYMBOLS}

        def all_there() -> bool:
            _, trades = self.bus()
            return all(set(wanted[s]) <= set(trades[s]) for s in SYMBOLS)

        eventually("every trade is on the bus", all_there, deadline_s)
        inbox, trades = self.bus()
        assert all(len(trades[s]) == len(set(trades[s])) for s in SYMBOLS)
        assert inbox.counts.out_of_order == 0
        eventually("no gap is open", lambda: not get(self.stack.url("feeder", "gaps"))["open"], deadline_s)

        def on_record() -> bool:
            known = {s: Records(self.stack.home / "feeder", SYMBOLS).known_trades(s) for s in SYMBOLS}
            return all(n in known[s] for s in SYMBOLS for n in wanted[s])

        eventually("the files have every trade", on_record, deadline_s)
        assert self.metric("lost_trades_total") == 0
        self.synced(deadline_s)
        return inbox

    def first(self) -> dict[str, int]:
        """Make the first trades and wait until they are on the bus; the ids from which on nothing may be missing."""
        self.order(2)
        eventually("first trades", lambda: all(self.bus()[1].values()))
        return {symbol: trades[0] for symbol, trades in self.bus()[1].items()}
