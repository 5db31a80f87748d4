"""A real venue process on loopback, and a client that sees statuses, headers, resets and silence."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from stormdesk.testnet.venue.signing import sign
from tests.e2e.stack_harness import eventually, free_port

KEY, SECRET = "test-key", "test-secret"
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
UNSIGNED = ("time", "depth", "exchangeInfo", "userDataStream")
RESTING = {**MARKET, "type": "LIMIT", "timeInForce": "GTC", "price": "30000.00"}
Document = dict[str, Any]


class VenueProcess:
    """The venue, its control port, and requests that are signed with the desk's key."""

    def __init__(self, home: Path) -> None:
        self.port, self._control = free_port(), free_port()
        account = {"name": "desk", "api_key": KEY, "api_secret": SECRET}
        config = {
            "listen": f"127.0.0.1:{self.port}", "control": f"127.0.0.1:{self._control}", "data_dir": str(home),
            "pidfile": str(home / "pid"), "seed": 7, "symbols": ["BTCUSDT", "ETHUSDT"],
            "accounts": [{**account, "balances": {"USDT": "1000000", "BTC": "20", "ETH": "300"}}],
        }  # fmt: skip
        path = home / "venue.json"
        path.write_text(json.dumps(config))
        with (home / "log").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stormdesk.testnet.venue", "--config", str(path)], stdout=out, stderr=out
            )
        eventually("the venue answers", lambda: self.control("GET", "/health")[1]["ok"])

    # -- control port --------------------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._control, timeout=5)
        connection.request(method, path, body=None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        lines = answer.headers["Content-Type"] == "application/x-ndjson"
        return answer.status, [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)

    def journal(self, kind: str = "") -> list[Document]:
        return [line for line in self.control("GET", "/journal?since=0")[1] if kind in ("", line["kind"])]

    def begin(self, name: str, *, for_s: float = 60, seed: int = 1, **params: str) -> str:
        status, said = self.control("POST", "/faults", {"name": name, "for_s": for_s, "seed": seed, "params": params})
        assert status == 201, said
        return str(said["id"])

    def fault(self, id_: str) -> Document:
        status, said = self.control("GET", f"/faults/{id_}")
        assert status == 200
        return dict(said)

    def end(self, id_: str) -> Document:
        status, said = self.control("DELETE", f"/faults/{id_}")
        assert status == 200
        assert said["on"] is False
        return dict(said)

    @contextmanager
    def under(self, name: str, **how: Any) -> Iterator[str]:
        """With a fault in; afterwards it is over and struck at least once."""
        id_ = self.begin(name, **how)
        yield id_
        assert self.end(id_)["hits"] >= 1

    # -- the wire ------------------------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, params: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, document and headers of a request, signed where that is asked for. Raises what the connection raises."""
        query = urlencode(params or {})
        if path not in UNSIGNED:
            query = urlencode({**(params or {}), "timestamp": int(time.time() * 1000)})
            query += f"&signature={sign(SECRET, query)}"
        target = f"/api/v3/{path}?{query}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, target, headers={"X-MBX-APIKEY": KEY})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.headers)
        finally:
            connection.close()

    def place(self, cid: str, order: Mapping[str, str] = MARKET, timeout_s: float = 5.0) -> tuple[int, Any]:
        return self.request("POST", "order", {**order, "newClientOrderId": cid}, timeout_s)[:2]

    def query(self, cid: str) -> tuple[int, Any]:
        return self.request("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": cid})[:2]

    def clear(self) -> None:
        """No fault in, no order open: as each test wants to find it."""
        for active in self.control("GET", "/faults")[1]["active"]:
            self.end(active["id"])
        self.request("DELETE", "openOrders", {"symbol": "BTCUSDT"})

    def down(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Listener:
    """A WebSocket whose messages are kept with their instants."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Document] = []

    async def wait(self, what: str, check: Callable[[Document], bool], deadline_s: float = 10.0) -> Document:
        """The next message that `check` likes."""
        async with asyncio.timeout(deadline_s):
            while True:
                message: Document = await self.socket.receive_json()
                self.heard.append(message)
                if check(message):
                    return message
        raise AssertionError(what)

    async def collect(self, span_s: float) -> list[Document]:
        """What comes in that time."""
        start = len(self.heard)
        try:
            async with asyncio.timeout(span_s):
                while True:
                    self.heard.append(await self.socket.receive_json())
        except TimeoutError:
            return self.heard[start:]


def listening(venue: VenueProcess, path: str, scenario: Callable[[Listener], Awaitable[None]]) -> None:
    """Run `scenario` with a connection to a stream; /ws-api/v3 is subscribed to the desk's user stream."""

    async def run() -> None:
        url = f"ws://127.0.0.1:{venue.port}{path}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            listener = Listener(socket)
            if path == "/ws-api/v3":
                await subscribe(listener)
            await scenario(listener)

    asyncio.run(run())


async def subscribe(listener: Listener) -> None:
    params: Document = {"apiKey": KEY, "timestamp": int(time.time() * 1000)}
    params["signature"] = sign(SECRET, urlencode(params))
    await listener.socket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})
    answer = await listener.wait("subscribed", lambda said: said.get("id") == 1)
    assert answer["status"] == 200, answer


def event(message: Document) -> Document:
    """The event of a message of the user stream; {} for other messages."""
    return dict(message.get("event") or {})
