"""One WebSocket connection of a client, and the venue's limits for it.

The venue pings every 20 s. It drops a connection that has not answered for 60 s, sends more than 5 messages in a second, is 24 hours
old, or reads so slowly that its queue is full: a client never blocks the venue.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from stormdesk.testnet.venue.rules import Rules

QUEUE = 1000  # messages waiting for a slow client
CLOSE_S = 0.5


def text_of(document: object) -> str:
    return msgspec.json.encode(document).decode()


class Client:
    """One connection: a queue, and a task that empties it into the socket. `dropped` counts why connections ended."""

    def __init__(
        self, request: web.Request, rules: Rules, dropped: Counter[str], *, per_s: int, wrapped: bool, api: bool = False
    ) -> None:
        self.ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=rules.body_bytes, timeout=CLOSE_S)
        self.request = request
        self.remote = request.remote or ""
        self.wrapped = wrapped
        self.api = api  # of the WebSocket API, else of the market streams
        self.since_ms = int(time.time() * 1000)
        self.streams: set[str] = set()
        self._rules = rules
        self._dropped = dropped
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self._per_s = per_s
        self._heard: deque[float] = deque(maxlen=per_s)
        self._answered = time.monotonic()

    def send(self, text: str) -> None:
        """Queue a message; a client that is too slow loses its connection."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.drop("slow")

    def drop(self, why: str) -> None:
        """End the connection at once, without a close frame."""
        if self.request.transport is not None and not self.request.transport.is_closing():
            self._dropped[why] += 1
            self.request.transport.abort()

    async def close(self, code: int, why: str) -> None:
        """Close the connection properly, if the client still reads."""
        self._dropped[why] += 1
        await self.ws.close(code=code, message=why.encode())

    async def talk(self, answer: Callable[[Client, str], None]) -> None:
        """Send the queue and pass each incoming text to `answer`, until the connection ends."""
        await self.ws.prepare(self.request)
        tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._watch())]
        try:
            message: WSMessage
            async for message in self.ws:
                if self._too_many():
                    await self.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
                elif message.type is WSMsgType.TEXT:
                    answer(self, message.data)
                elif message.type is WSMsgType.PING:
                    await self.ws.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    self._answered = time.monotonic()
                elif message.type is WSMsgType.ERROR:
                    self._dropped["bad frame"] += 1
        finally:
            for task in tasks:
                task.cancel()

    def _too_many(self) -> bool:
        """Count a message; True when the client exceeds its limit per second. `per_s` 0: no limit."""
        now = time.monotonic()
        fast = 0 < self._per_s == len(self._heard) and now - self._heard[0] < 1.0
        self._heard.append(now)
        return fast

    async def _pump(self) -> None:
        while True:
            text = await self._queue.get()
            try:
                await self.ws.send_str(text)
            except ConnectionError:
                return

    async def _watch(self) -> None:
        """Ping, and end the connection when it is silent or old."""
        born = time.monotonic()
        while time.monotonic() - born < self._rules.life_s:
            left = born + self._rules.life_s - time.monotonic()
            await asyncio.sleep(min(self._rules.ping_s, left))
            if time.monotonic() - self._answered > self._rules.pong_s:
                self.drop("no pong")
                return
            try:
                await self.ws.ping(str(int(time.time() * 1000)).encode())
            except ConnectionError:
                return
        await self.close(WSCloseCode.GOING_AWAY, "24 hours")
