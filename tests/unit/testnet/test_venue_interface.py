"""Every endpoint of the venue answers: REST paths, streams, listen keys, the WebSocket API."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stormdesk.testnet.venue import signing
from stormdesk.testnet.venue.control import control_app
from stormdesk.testnet.venue.keys import Account, Config
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.rest import IDLE, venue_app
from stormdesk.testnet.venue.rules import Rules
from tests.unit.testnet.test_venue_rest import LIMIT, MARKET, call, kinds

Client = TestClient[Any, Any]
Scenario = Callable[[Client, Desk], Awaitable[None]]


def with_venue(home: Path, scenario: Scenario, rules: Rules | None = None) -> None:
    """Run a scenario on a venue that ticks."""

    async def run() -> None:
        account = Account("desk", "key", "secret", {"USDT": "100000", "BTC": "5", "ETH": "50"})
        it = Desk(Config("", "", str(home), "", 7, ["BTCUSDT", "ETHUSDT"], [account], limits=rules or Rules()))

        async def beat() -> None:
            while True:
                await asyncio.sleep(0.01)
                it.tick()

        ticking = asyncio.create_task(beat())
        async with TestClient(TestServer(venue_app(it))) as client:
            await scenario(client, it)
        ticking.cancel()
        it.journal.close()

    asyncio.run(run())


async def get(client: Client, path: str) -> tuple[int, Any]:
    response = await client.get(path)
    return response.status, await response.json()


async def until(socket: Any, wanted: Callable[[Any], bool]) -> Any:
    """The first message that is wanted."""
    async with asyncio.timeout(10):
        while not wanted(message := await socket.receive_json()):
            pass
    return message


PUBLIC = [
    "ping", "time", "exchangeInfo", 'exchangeInfo?symbols=["BTCUSDT"]', "depth?symbol=BTCUSDT&limit=5",
    "trades?symbol=BTCUSDT", "historicalTrades?symbol=BTCUSDT&fromId=1", "klines?symbol=BTCUSDT&interval=5m",
    "aggTrades?symbol=BTCUSDT&fromId=1",
    "avgPrice?symbol=BTCUSDT", "ticker/24hr", "ticker/24hr?symbol=BTCUSDT", "ticker/price", "ticker/bookTicker?symbol=BTCUSDT",
]  # fmt: skip
SIGNED = [
    ("account", {}), ("openOrders", {}), ("allOrders", {"symbol": "BTCUSDT"}), ("myTrades", {"symbol": "BTCUSDT"}),
    ("rateLimit/order", {}),
]  # fmt: skip


def test_every_listed_path_answers_and_others_do_not(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        await call(client, "POST", "order", MARKET)
        for path in PUBLIC:
            assert (await get(client, f"/api/v3/{path}"))[0] == 200, path
        for path, params in SIGNED:
            assert (await call(client, "GET", path, params))[0] == 200, path
        assert (await call(client, "GET", "../../sapi/v1/asset/tradeFee", {"symbol": "BTCUSDT"}))[1] == [
            {"symbol": "BTCUSDT", "makerCommission": "0.001", "takerCommission": "0.001"}
        ]
        candle = (await get(client, "/api/v3/klines?symbol=BTCUSDT&interval=1m"))[1][-1]
        assert (len(candle), candle[8]) == (12, len(it.exchange.prints["BTCUSDT"]))
        day = (await get(client, "/api/v3/ticker/24hr?symbol=BTCUSDT"))[1]
        assert (day["count"], day["lastPrice"]) == (candle[8], candle[4])
        assert await get(client, "/api/v3/nothing") == (404, {"code": -1000, "msg": "Not Found"})
        assert await get(client, "/wsx") == (400, {"code": -1000, "msg": "This path is a WebSocket."})
        response = await client.post("/api/v3/time")
        assert (response.status, (await response.json())["code"]) == (405, -1000)
        assert (await get(client, "/api/v3/klines?symbol=BTCUSDT&interval=7m"))[1]["code"] == -1120

    with_venue(tmp_path, scenario)


def test_a_429_and_early_requests_are_in_the_journal(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        codes = []
        while 418 not in codes:
            response = await client.get("/api/v3/exchangeInfo")
            codes.append(response.status)
            assert response.status == 200 or int(response.headers["Retry-After"]) >= 1
        assert codes == [200, 200, 429, 429, 429, 418]
        assert (await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "late"}))[0] == 418
        lines = [msgspec.json.decode(line) for line in b"".join(it.journal.since(1)).splitlines()]
        lines = [line for line in lines if line["kind"] in ("THROTTLED", "EARLY", "REJECTED")]
        assert [line["kind"] for line in lines] == ["THROTTLED", *["EARLY", "THROTTLED"] * 4, "REJECTED"]
        assert [line["status"] for line in lines if line["kind"] == "THROTTLED"] == [429, 429, 429, 418, 418]
        assert lines[-2] | {"seq": 0, "t": 0, "until": 0, "retry_after_s": 0, "remote": ""} == {
            "kind": "THROTTLED", "seq": 0, "t": 0, "account": "desk", "remote": "", "status": 418, "code": -1003,
            "retry_after_s": 0, "until": 0, "used_weight": 60,
        }  # fmt: skip

    with_venue(tmp_path, scenario, Rules(weight_per_min=45, early_before_ban=2))


def test_the_timestamp_of_a_request_is_in_the_journal(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        stamp = int(time.time() * 1000) - 1
        await call(client, "POST", "order", LIMIT, stamp=stamp)
        await client.post("/api/v3/order")
        lines = [msgspec.json.decode(line) for line in b"".join(it.journal.since(1)).splitlines()]
        assert [line["timestamp"] for line in lines if line["kind"] == "REQUEST"] == [stamp, 0]

    with_venue(tmp_path, scenario)


def test_market_streams(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        names = ["trade", "aggTrade", "depth", "depth@100ms", "bookTicker", "ticker", "miniTicker", "kline_1m"]
        socket = await client.ws_connect("/stream?streams=" + "/".join(f"btcusdt@{name}" for name in names[:4]))
        request = {"method": "SUBSCRIBE", "params": [f"btcusdt@{name}" for name in names[4:]], "id": 1}
        await socket.send_json(request)
        await until(socket, lambda m: m == {"result": None, "id": 1})
        await call(client, "POST", "order", MARKET)
        missing, last = set(names), {}
        while missing:
            message = await socket.receive_json(timeout=5)
            name = message["stream"].partition("@")[2]
            missing.discard(name)
            if name.startswith("depth"):
                assert message["data"]["U"] == last.get(name, message["data"]["U"] - 1) + 1
                last[name] = message["data"]["u"]
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "x"})
        assert len((await until(socket, lambda m: m.get("id") == "x"))["result"]) == 8
        await socket.send_json({"method": "UNSUBSCRIBE", "params": [f"btcusdt@{name}" for name in names], "id": 3})
        await until(socket, lambda m: m.get("id") == 3)
        await socket.close()
        for path in ("/ws/btcusdt@depth", "/ws/7"):
            socket = await client.ws_connect(path)
            await socket.send_json({"method": "DANCE", "id": 4})
            assert (await until(socket, lambda m: m.get("id") == 4))["error"]["code"] == 2
            await socket.send_str("{")
            assert (await until(socket, lambda m: "error" in m))["error"]["code"] == 3
            await socket.close()
        await asyncio.sleep(0.05)
        assert not it.hub.clients

    with_venue(tmp_path, scenario)


def test_too_many_streams_messages_and_connections(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        socket = await client.ws_connect("/ws")
        await socket.send_json(
            {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@depth", "ethusdt@trade"], "id": 1}
        )
        assert (await socket.receive_json())["error"]["code"] == 2
        for number in range(6):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        while (message := await socket.receive(timeout=5)).type is WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
        await client.ws_connect("/ws")
        response = await client.get("/ws", headers={"Upgrade": "websocket"})
        assert (response.status, (await response.json())["code"]) == (429, -1003)
        assert it.hub.dropped["Too many requests"] == 1

    with_venue(tmp_path, scenario, Rules(streams=2, connects_per_5min=2))


def test_the_silent_the_old_and_the_slow_are_dropped(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        silent = await client.ws_connect("/ws", autoping=False)
        talking = await client.ws_connect("/ws")
        answering = asyncio.create_task(talking.receive())
        assert (await silent.receive(timeout=5)).type is WSMsgType.PING
        kinds_seen = [(await silent.receive(timeout=5)).type for _ in range(4)]
        assert WSMsgType.CLOSED in kinds_seen or WSMsgType.ERROR in kinds_seen
        assert it.hub.dropped["no pong"] == 1
        message = await asyncio.wait_for(answering, 5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert it.hub.dropped["24 hours"] == 1
        slow = await client.ws_connect("/ws")
        (venue_side,) = it.hub.clients
        for _ in range(1001):
            venue_side.send("x" * 1000)
        assert it.hub.dropped["slow"] == 1
        await slow.close()

    with_venue(tmp_path, scenario, Rules(ping_s=0.3, pong_s=0.5, life_s=2.0))


def test_the_venue_announces_its_shutdown(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        market, api = await client.ws_connect("/ws"), await client.ws_connect("/ws-api/v3")
        saying = asyncio.create_task(it.hub.farewell())
        assert (await market.receive_json(timeout=5))["e"] == "serverShutdown"
        assert (await api.receive_json(timeout=5))["event"]["e"] == "serverShutdown"
        assert (await market.receive(timeout=5)).data == 1001
        await market.close()
        await api.close()
        await saying

    with_venue(tmp_path, scenario)


def signed(params: dict[str, Any]) -> dict[str, Any]:
    params = {"apiKey": "key", "timestamp": int(time.time() * 1000), **params}
    payload = "&".join(f"{key}={params[key]}" for key in sorted(params))
    return {**params, "signature": signing.sign("secret", payload)}


def test_the_websocket_api_trades(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        socket = await client.ws_connect("/ws-api/v3")

        async def ask(method: str, params: dict[str, Any], id_: str = "q") -> Any:
            await socket.send_json({"id": id_, "method": method, "params": params})
            return await until(socket, lambda m: m.get("id") == id_)

        assert (await ask("ping", {}))["result"] == {}
        assert len((await ask("exchangeInfo", {"symbols": ["BTCUSDT"]}))["result"]["symbols"]) == 1
        assert (await ask("userDataStream.subscribe.signature", signed({})))["result"] == {"subscriptionId": 0}
        placed = await ask("order.place", signed({**LIMIT, "newClientOrderId": "ws1"}))
        assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
        which = {"symbol": "BTCUSDT", "origClientOrderId": "ws1"}
        assert (await ask("order.status", signed(which)))["result"]["orderId"] == placed["result"]["orderId"]
        assert (await ask("order.cancel", signed(which)))["result"]["status"] == "CANCELED"
        assert (await ask("order.cancel", signed(which)))["error"] == {"code": -2011, "msg": "Unknown order sent."}
        assert kinds(it)[1:] == ["REQUEST", "ACCEPTED", "REQUEST", "CANCELED", "REQUEST"]
        await socket.send_json({"id": "u", "method": "userDataStream.unsubscribe"})
        ended = await until(socket, lambda m: m.get("event", {}).get("e") == "eventStreamTerminated")
        assert ended["subscriptionId"] == 0
        assert (await ask("session.logon", signed({})))["error"]["code"] == -4056
        assert (await ask("dance", {}))["status"] == 400
        await socket.send_str("[1")
        assert (await until(socket, lambda m: m.get("id", 0) is None))["error"]["code"] == -1135
        assert it.bad_input["json"] == 1
        await socket.close()

    with_venue(tmp_path, scenario)


def test_a_listen_key_lives_and_expires(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        async def keyed(method: str, **params: str) -> tuple[int, Any]:
            path = "/api/v3/userDataStream"
            response = await client.request(method, path, headers={"X-MBX-APIKEY": "key"}, params=params)
            return response.status, await response.json()

        _, answer = await keyed("POST")
        key = answer["listenKey"]
        assert (await keyed("POST"))[1]["listenKey"] == key
        raw = await client.ws_connect(f"/ws/{key}")
        wrapped = await client.ws_connect(f"/stream?streams={key}")
        await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "seen"})
        assert (await raw.receive_json(timeout=5))["c"] == "seen"
        assert (await raw.receive_json(timeout=5))["e"] == "outboundAccountPosition"
        message = await wrapped.receive_json(timeout=5)
        assert (message["stream"], message["data"]["e"]) == (key, "executionReport")
        it.exchange.transfer("desk", "BTC", it.exchange.symbols["BTCUSDT"].step, time.time())
        it.commit()
        assert await raw.receive_json(timeout=5) | {"E": 0, "T": 0} == {
            "e": "balanceUpdate", "E": 0, "a": "BTC", "d": "0.00001000", "T": 0,
        }  # fmt: skip
        assert await keyed("PUT", listenKey=key) == (200, {})
        assert (await until(raw, lambda m: m["e"] == "listenKeyExpired"))["listenKey"] == key
        assert await keyed("PUT", listenKey=key) == (400, {"code": -1125, "msg": "This listenKey does not exist."})
        await raw.close()
        await wrapped.close()

    with_venue(tmp_path, scenario, Rules(listen_key_s=1.0))


@pytest.mark.parametrize(("how", "status", "code", "counted"), [
    ({"data": b"symbol=%ff%fe\xff"}, 400, -1100, "encoding"),
    ({"data": b"x" * 70_000}, 413, -1000, "Request Entity Too Large"),
    ({"data": b"timestamp=" + b"9" * 5000 + b"&signature=x"}, 400, -1100, ""),
    ({"params": {"timestamp": "1", "signature": "é"}}, 400, -1021, ""),
])  # fmt: skip
def test_bad_bodies_are_refused_and_counted(
    tmp_path: Path, how: dict[str, Any], status: int, code: int, counted: str
) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        headers = {"X-MBX-APIKEY": "key", "Content-Type": "application/x-www-form-urlencoded"}
        response = await client.post("/api/v3/order", headers=headers, **how)
        assert (response.status, (await response.json())["code"]) == (status, code)
        assert not counted or it.bad_input[counted] == 1
        assert (await call(client, "POST", "order", LIMIT))[0] == 200  # and nothing else is disturbed

    with_venue(tmp_path, scenario)


def test_the_control_port_knows_older_books_and_moves_money(tmp_path: Path) -> None:
    async def run() -> None:
        account = Account("desk", "key", "secret", {"USDT": "100000"})
        it = Desk(Config("", "", str(tmp_path), "", 7, ["BTCUSDT"], [account]))
        book = it.exchange.books["BTCUSDT"]
        then, levels = book.update_id, book.levels("BUY", 1000)
        for _ in range(20):
            it.tick()
        async with TestClient(TestServer(control_app(it))) as client:
            _, answer = await get(client, f"/depth?symbol=BTCUSDT&at={then}")
            assert answer["lastUpdateId"] == then
            assert [level[0] for level in answer["bids"]] == [f"{price:.8f}" for price, _ in levels]
            assert (await get(client, f"/depth?symbol=BTCUSDT&at={book.update_id + 1}"))[0] == 404
            assert (await get(client, "/depth?symbol=NOPE"))[0] == 400
            assert (await get(client, "/trades?symbol=BTCUSDT&from=1")) == (200, [])
            asked = {"account": "desk", "asset": "BTC", "amount": "2"}
            assert (await client.post("/transfer", json=asked)).status == 200
            assert (await client.post("/transfer", json=asked | {"account": "nobody"})).status == 400
            assert (await client.post("/transfer", json=asked | {"amount": "-3"})).status == 400
            assert (await get(client, "/balances"))[1]["desk"]["BTC"]["free"] == "2.00000000"
        assert kinds(it) == ["OPEN", "MARK", "TRANSFER"]
        it.journal.close()

    asyncio.run(run())


def test_idle_connections_are_dropped_and_other_protocols_are_counted(tmp_path: Path) -> None:
    async def run() -> None:
        account = Account("desk", "key", "secret", {"USDT": "100000"})
        it = Desk(Config("", "", str(tmp_path), "", 7, ["BTCUSDT"], [account], limits=Rules(request_s=5.0)))
        app = venue_app(it)
        server = TestServer(app)
        async with TestClient(server) as client:
            assert (await get(client, "/api/v3/ping"))[0] == 200  # and stays connected
            slow, to_slow = await asyncio.open_connection("127.0.0.1", server.port)
            to_slow.write(b"GET /api/v3/pi")
            silent, to_silent = await asyncio.open_connection("127.0.0.1", server.port)
            garbage, to_garbage = await asyncio.open_connection("127.0.0.1", server.port)
            to_garbage.write(b"\x16\x03\x01 hello\r\n\r\n")
            assert (await garbage.read()).startswith(b"HTTP/1.0 400 Bad Request")
            assert it.bad_input["no HTTP"] == 1
            for now in (100.0, 104.9, 105.1):
                assert not it.hub.dropped
                app[IDLE].sweep(server.runner.server.connections, now)
            assert it.hub.dropped["no request"] == 2
            assert await slow.read() == await silent.read() == b""
            assert (await get(client, "/api/v3/ping"))[0] == 200
            for writer in (to_slow, to_silent, to_garbage):
                writer.close()
        it.journal.close()

    asyncio.run(run())


def test_a_body_that_does_not_come_is_a_timeout(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nsymbol=")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408")
        assert it.bad_input["Request Timeout"] == 1
        assert kinds(it) == ["OPEN"]
        writer.close()

    with_venue(tmp_path, scenario, Rules(request_s=0.2))


def test_an_ed25519_key_logs_a_session_on(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    async def run() -> None:
        account = Account("desk", "key", "", {"USDT": "100000", "BTC": "5"}, public_key=public)
        it = Desk(Config("", "", str(tmp_path), "", 7, ["BTCUSDT"], [account]))
        async with TestClient(TestServer(venue_app(it))) as client:
            socket = await client.ws_connect("/ws-api/v3")

            async def ask(method: str, params: dict[str, Any]) -> Any:
                await socket.send_json({"id": method, "method": method, "params": params})
                return await until(socket, lambda m: m.get("id") == method)

            assert (await ask("userDataStream.subscribe", {}))["status"] == 400
            params: dict[str, Any] = {"apiKey": "key", "timestamp": int(time.time() * 1000)}
            payload = "&".join(f"{key}={params[key]}" for key in sorted(params))
            params["signature"] = b64encode(private.sign(payload.encode())).decode()
            wrong = b64encode(private.sign(b"something else")).decode()
            assert (await ask("session.logon", {**params, "signature": wrong}))["error"]["code"] == -1022
            assert (await ask("session.logon", params))["result"]["apiKey"] == "key"
            assert (await ask("userDataStream.subscribe", {}))["result"] == {"subscriptionId": 0}
            unsigned = {**MARKET, "timestamp": int(time.time() * 1000)}
            assert (await ask("order.place", unsigned))["result"]["status"] == "FILLED"
            assert (await ask("session.logout", {}))["result"]["apiKey"] is None
            assert (await ask("order.place", unsigned))["status"] == 401
            await socket.close()
        it.journal.close()

    asyncio.run(run())
