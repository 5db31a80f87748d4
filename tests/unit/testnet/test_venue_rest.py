"""The venue's REST interface over a real socket: answers, exact error texts, journal before answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from stormdesk.testnet.venue import signing
from stormdesk.testnet.venue.control import control_app
from stormdesk.testnet.venue.keys import Account, Config
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.rest import venue_app

Client = TestClient[Any, Any]
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "50000",
}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}


def desk(home: Path) -> Desk:
    account = Account("desk", "key", "secret", {"USDT": "100000", "BTC": "5", "ETH": "50"})
    return Desk(Config("", "", str(home), "", 7, ["BTCUSDT", "ETHUSDT"], [account]))


def with_venue(home: Path, scenario: Callable[[Client, Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        it = desk(home)
        async with TestClient(TestServer(venue_app(it))) as client:
            await scenario(client, it)
        it.journal.close()

    asyncio.run(run())


async def call(client: Client, method: str, path: str, params: dict[str, Any], **how: Any) -> tuple[int, Any]:
    """A signed request; `how`: secret, key, stamp, where ("body" or "query")."""
    stamp = how.get("stamp", int(time.time() * 1000))
    query = urlencode({**params, "timestamp": stamp})
    query += f"&signature={signing.sign(how.get('secret', 'secret'), query)}"
    headers = {"X-MBX-APIKEY": how.get("key", "key")}
    if how.get("where") == "body":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        response = await client.request(method, f"/api/v3/{path}", data=query, headers=headers)
    else:
        url = URL(f"/api/v3/{path}?{query}", encoded=True)  # or what was signed is not what is sent
        response = await client.request(method, url, headers=headers)
    return response.status, await response.json()


def kinds(it: Desk) -> list[str]:
    return [msgspec.json.decode(line)["kind"] for line in b"".join(it.journal.since(0)).splitlines()]


@pytest.mark.parametrize("where", ["query", "body"])
def test_an_order_lives(tmp_path: Path, where: str) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        status, placed = await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "a1"}, where=where)
        assert (status, placed["status"], placed["clientOrderId"]) == (200, "NEW", "a1")
        _, found = await call(client, "GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "a1"})
        assert found["orderId"] == placed["orderId"]
        _, held = await call(client, "GET", "account", {})
        usdt = next(b for b in held["balances"] if b["asset"] == "USDT")
        assert (usdt["free"], usdt["locked"]) == ("99500.00000000", "500.00000000")
        assert len((await call(client, "GET", "openOrders", {"symbol": "BTCUSDT"}))[1]) == 1
        _, gone = await call(client, "DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "a1"})
        assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "a1")
        assert kinds(it) == ["OPEN", "REQUEST", "ACCEPTED", "REQUEST", "CANCELED"]

    with_venue(tmp_path, scenario)


def test_a_market_order_reports_its_fills(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        _, placed = await call(client, "POST", "order", MARKET)
        assert placed["status"] == "FILLED"
        _, trades = await call(client, "GET", "myTrades", {"symbol": "BTCUSDT", "fromId": 0})
        assert [f["tradeId"] for f in placed["fills"]] == [t["id"] for t in trades]
        _, later = await call(client, "GET", "myTrades", {"symbol": "BTCUSDT", "fromId": trades[-1]["id"] + 1})
        assert later == []
        response = await client.get("/api/v3/trades?symbol=BTCUSDT")
        assert [t["id"] for t in await response.json()] == [t["id"] for t in trades]
        assert kinds(it)[:3] == ["OPEN", "REQUEST", "ACCEPTED"]

    with_venue(tmp_path, scenario)


@pytest.mark.parametrize(("params", "how", "status", "code", "msg"), [
    (LIMIT, {"stamp": 1}, 400, -1021, "Timestamp for this request is outside of the recvWindow."),
    (LIMIT, {"secret": "wrong"}, 400, -1022, "Signature for this request is not valid."),
    (LIMIT, {"key": "wrong"}, 401, -2015, "Invalid API-key, IP, or permissions for action."),
    (LIMIT, {"key": ""}, 401, -2014, "API-key format invalid."),
    ({**LIMIT, "symbol": "NOPE"}, {}, 400, -1121, "Invalid symbol."),
    ({**LIMIT, "side": "HOLD"}, {}, 400, -1117, "Invalid side."),
    ({**LIMIT, "type": "MAYBE"}, {}, 400, -1116, "Invalid orderType."),
    ({**LIMIT, "timeInForce": "GTX"}, {}, 400, -1115, "Invalid timeInForce."),
    ({**LIMIT, "quantity": "-1"}, {}, 400, -1100,
     r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."),
    ({**LIMIT, "quantity": "0.000000001"}, {}, 400, -1111, "Parameter 'quantity' has too much precision."),
    ({**LIMIT, "quantity": "0.000001"}, {}, 400, -1013, "Filter failure: LOT_SIZE"),
    ({**LIMIT, "quantity": "100"}, {}, 400, -2010, "Account has insufficient balance for requested action."),
    ({**LIMIT, "newClientOrderId": "x" * 37}, {}, 400, -1100,
     "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'."),
    ({"symbol": "BTCUSDT"}, {}, 400, -1102, "Mandatory parameter 'side' was not sent, was empty/null, or malformed."),
])  # fmt: skip
def test_refused_orders(
    tmp_path: Path, params: dict[str, str], how: dict[str, Any], status: int, code: int, msg: str
) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        assert await call(client, "POST", "order", params, **how) == (status, {"code": code, "msg": msg})
        assert kinds(it) == ["OPEN", "REQUEST", "REJECTED"]

    with_venue(tmp_path, scenario)


def test_refused_questions(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        where = {"symbol": "BTCUSDT", "origClientOrderId": "nobody"}
        assert (await call(client, "GET", "order", where))[1] == {"code": -2013, "msg": "Order does not exist."}
        assert (await call(client, "DELETE", "order", where))[1] == {"code": -2011, "msg": "Unknown order sent."}
        await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "twice"})
        _, again = await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "twice"})
        assert again == {"code": -2010, "msg": "Duplicate order sent."}
        response = await client.get("/api/v3/nothing")
        assert (response.status, (await response.json())["code"]) == (404, -1000)
        response = await client.get("/api/v3/account", headers={"X-MBX-APIKEY": "key"})
        assert (await response.json())["code"] == -1102

    with_venue(tmp_path, scenario)


def test_weights_are_counted_and_limited(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        response = await client.get("/api/v3/exchangeInfo")
        first = int(response.headers["X-MBX-USED-WEIGHT-1M"])
        response = await client.get("/api/v3/ping")
        assert int(response.headers["X-MBX-USED-WEIGHT-1M"]) in (first + 1, 1)  # 1: a new minute began
        codes = {(await call(client, "POST", "order", {**LIMIT, "quantity": "100"}))[1]["code"] for _ in range(102)}
        assert codes == {-2010, -1015}

    with_venue(tmp_path, scenario)


def test_a_restart_knows_everything(tmp_path: Path) -> None:
    answers: list[Any] = []

    async def before(client: Client, it: Desk) -> None:
        await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "rests"})
        await call(client, "POST", "order", MARKET)
        answers.extend([await call(client, "GET", path, {"symbol": "BTCUSDT"}) for path in ("allOrders", "myTrades")])
        answers.append((await call(client, "GET", "account", {}))[1]["balances"])

    async def after(client: Client, it: Desk) -> None:
        found = [await call(client, "GET", path, {"symbol": "BTCUSDT"}) for path in ("allOrders", "myTrades")]
        assert [*found, (await call(client, "GET", "account", {}))[1]["balances"]] == answers
        _, gone = await call(client, "DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "rests"})
        assert gone["status"] == "CANCELED"

    with_venue(tmp_path, before)
    with_venue(tmp_path, after)


def test_streams_tell_trades_depth_and_executions(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        public = await client.ws_connect("/stream?streams=btcusdt@trade/btcusdt@depth@100ms")
        raw = await client.ws_connect("/ws/0")
        await raw.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1})
        assert await raw.receive_json(timeout=5) == {"result": None, "id": 1}
        user = await client.ws_connect("/ws-api/v3")
        params = {"apiKey": "key", "timestamp": int(time.time() * 1000)}
        payload = "&".join(f"{key}={params[key]}" for key in sorted(params))
        signed = {**params, "signature": signing.sign("secret", payload)}
        await user.send_json({"id": "u", "method": "userDataStream.subscribe.signature", "params": signed})
        assert (await user.receive_json(timeout=5))["status"] == 200
        await call(client, "POST", "order", {**MARKET, "newClientOrderId": "streamed"})
        report = (await user.receive_json(timeout=5))["event"]
        assert (report["e"], report["x"], report["X"], report["c"]) == ("executionReport", "NEW", "NEW", "streamed")
        assert (await public.receive_json(timeout=5))["data"]["e"] == "trade"
        it.tick()
        messages = [await public.receive_json(timeout=5)]
        while messages[-1]["data"]["e"] != "depthUpdate":
            messages.append(await public.receive_json(timeout=5))
        assert messages[-1]["data"]["U"] <= messages[-1]["data"]["u"]
        assert (await raw.receive_json(timeout=5))["s"] == "BTCUSDT"
        bad = {**signed, "signature": "0" * 64}
        await user.send_json({"id": 2, "method": "userDataStream.subscribe.signature", "params": bad})
        answers = [await user.receive_json(timeout=5)]
        while "status" not in answers[-1]:
            answers.append(await user.receive_json(timeout=5))
        assert (answers[-1]["status"], answers[-1]["error"]["code"]) == (400, -1022)
        for socket in (public, raw, user):
            await socket.close()

    with_venue(tmp_path, scenario)


def test_the_control_port_shows_the_truth(tmp_path: Path) -> None:
    async def run() -> None:
        it = desk(tmp_path)
        async with TestClient(TestServer(control_app(it))) as client:
            lines = (await (await client.get("/journal?since=0")).text()).splitlines()
            assert [msgspec.json.decode(line)["kind"] for line in lines] == ["OPEN"]
            assert await (await client.get("/journal?since=1")).text() == ""
            assert (await client.get("/journal?since=x")).status == 400
            balances = await (await client.get("/balances")).json()
            assert balances["desk"]["BTC"] == {"free": "5.00000000", "locked": "0.00000000"}
            assert (await (await client.get("/health")).json())["ok"] is True
            assert "venue_open_orders 0.0" in await (await client.get("/metrics")).text()
            assert await (await client.get("/orders")).json() == []
        it.journal.close()

    asyncio.run(run())


def test_a_symbols_trades_are_numbered_without_gaps_and_can_be_asked_for_from_an_id_on(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        for n in range(6):
            market = {**MARKET, "symbol": ("BTCUSDT", "ETHUSDT")[n % 2], "quantity": "0.01"}
            assert (await call(client, "POST", "order", market))[0] == 200
        seen: list[int] = []
        for symbol in ("BTCUSDT", "ETHUSDT"):
            ids = [trade.trade_id for trade in it.exchange.prints[symbol]]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
            for first in (ids[1], ids[-1], ids[-1] + 1):
                answer = await client.get(f"/api/v3/historicalTrades?symbol={symbol}&fromId={first}")
                assert [trade["id"] for trade in await answer.json()] == [i for i in ids if i >= first]
            answer = await client.get(f"/api/v3/historicalTrades?symbol={symbol}&fromId=0&limit=2")
            assert [trade["id"] for trade in await answer.json()] == ids[:2]
            seen += ids
        assert len(seen) == len(set(seen)) == it.exchange.trade_count()

    with_venue(tmp_path, scenario)
