"""Refusals of Binance other than orders: invalid queries, unknown streams, malformed requests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.test_utils import TestClient

from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.rules import Rules
from tests.unit.testnet import test_venue_interface as interface
from tests.unit.testnet.test_venue_interface import get, until
from tests.unit.testnet.test_venue_parameters import ask, run
from tests.unit.testnet.test_venue_rest import LIMIT, call

Client = TestClient[Any, Any]
SYMBOL = {"symbol": "BTCUSDT"}
COMBINATION = -1128, "Combination of optional parameters invalid."
DAY_MS = 86_400_000
LIST = r"""^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$"""


def missing(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def digits(name: str) -> tuple[int, str]:
    return -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."


def unread(read: int) -> tuple[int, str]:
    return -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{read + 1}'."


def twice() -> tuple[int, str]:
    return -1101, "Duplicate values for a parameter detected."


@pytest.mark.parametrize(("path", "code", "msg"), [
    ("ping?symbol=BTCUSDT", -1101, "Too many parameters; expected '0' and received '1'."),
    ("depth", *missing("symbol")),
    ("depth?symbol=", -1105, "Parameter 'symbol' was empty."),
    ("depth?symbol=NOPE", -1121, "Invalid symbol."),
    ("depth?symbol=BTCUSDT&symbol=ETHUSDT", *twice()),
    ("depth?symbol=BTCUSDT&depth=5", *unread(1)),
    ("depth?symbol=BTCUSDT&limit=0", *missing("limit")),
    ("depth?symbol=BTCUSDT&limit=-1", *digits("limit")),
    ("depth?symbol=BTCUSDT&limit=ten", *digits("limit")),
    ("depth?symbol=BTCUSDT&symbolStatus=OPEN", -1122, "Invalid symbolStatus."),
    ("depth?symbol=BTCUSDT&symbolStatus=HALT", -1220, "The symbol's status does not match the requested symbolStatus."),
    ("trades?symbol=BTCUSDT&fromId=1", *unread(1)),
    ("historicalTrades?symbol=BTCUSDT&fromId=x", *digits("fromId")),
    ("aggTrades?symbol=BTCUSDT&startTime=-1", *digits("startTime")),
    ("klines?symbol=BTCUSDT", *missing("interval")),
    ("klines?symbol=BTCUSDT&interval=1minute", -1120, "Invalid interval."),
    ("klines?symbol=BTCUSDT&interval=1H", -1120, "Invalid interval."),
    ("klines?symbol=BTCUSDT&interval=1h&fromId=1", *unread(2)),
    ("klines?symbol=BTCUSDT&interval=1h&timeZone=8", -1130, "Data sent for parameter 'timeZone' is not valid."),
    ("avgPrice", *missing("symbol")),
    ("ticker/24hr?symbol=BTCUSDT&type=LONG", -1139, "Invalid ticker type."),
    ('ticker/price?symbol=BTCUSDT&symbols=["BTCUSDT"]', *COMBINATION),
    ('ticker/price?symbols=["BTCUSDT","BTCUSDT"]', -1151, "Symbol is present multiple times in the list."),
    ('ticker/price?symbols=["NOPE"]', -1121, "Invalid symbol."),
    ("ticker/bookTicker?symbols=[]", *missing("symbols")),
    ("ticker/bookTicker?symbols=BTCUSDT", -1100,
     f"Illegal characters found in parameter 'symbols'; legal range is '{LIST}'."),
    ('ticker/bookTicker?symbols=["btcusdt"]', -1100,
     f"Illegal characters found in parameter 'symbols'; legal range is '{LIST}'."),
    ("exchangeInfo?symbol=BTCUSDT&permissions=SPOT", *COMBINATION),
    ("exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING", *COMBINATION),
    ("exchangeInfo?permissions=FUTURES", -1130, "Data sent for parameter 'permissions' is not valid."),
])  # fmt: skip
def test_case_C61_public_questions_that_are_refused(tmp_path: Path, path: str, code: int, msg: str) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        assert await get(client, f"/api/v3/{path}") == (400, {"code": code, "msg": msg})

    run(tmp_path, scenario)


@pytest.mark.parametrize(("path", "params", "code", "msg"), [
    ("GET order", SYMBOL, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
    ("GET order", {**SYMBOL, "orderId": ""}, -1105, "Parameter 'orderId' was empty."),
    ("GET order", {**SYMBOL, "orderId": "-1"}, *digits("orderId")),
    ("GET order", {**SYMBOL, "orderId": "9" * 20}, -1108, "Parameter 'orderId' overflowed."),
    ("GET order", {**SYMBOL, "orderId": "1", "side": "BUY"}, *unread(4)),
    ("GET order", {**SYMBOL, "orderId": "1"}, -2013, "Order does not exist."),
    ("GET order", {**SYMBOL, "orderId": "OPEN", "origClientOrderId": "other"},
     -2039, "Client order ID is not correct for this order ID."),
    ("DELETE order", {**SYMBOL, "orderId": "OPEN", "origClientOrderId": "other"},
     -2039, "Client order ID is not correct for this order ID."),
    ("DELETE order", {**SYMBOL, "orderId": "OPEN", "cancelRestrictions": "ONLY_OPEN"},
     -1145, "Invalid cancelRestrictions"),
    ("DELETE order", {**SYMBOL, "orderId": "OPEN", "cancelRestrictions": "ONLY_PARTIALLY_FILLED"},
     -2011, "Order was not canceled due to cancel restrictions."),
    ("DELETE order", {**SYMBOL, "orderId": "OPEN", "newClientOrderId": "a.b"}, -1100,
     "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'."),
    ("DELETE order", {"orderId": "OPEN"}, *missing("symbol")),
    ("DELETE openOrders", {}, *missing("symbol")),
    ("DELETE openOrders", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ("GET openOrders", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ("GET openOrders", {"symbol": ""}, -1105, "Parameter 'symbol' was empty."),
    ("GET allOrders", {}, *missing("symbol")),
    ("GET allOrders", {**SYMBOL, "startTime": "0", "endTime": str(DAY_MS + 1)},
     -1127, "More than 24 hours between startTime and endTime."),
    ("GET allOrders", {**SYMBOL, "fromId": "1"}, *unread(3)),
    ("GET myTrades", {**SYMBOL, "startTime": "0", "endTime": str(DAY_MS + 1)},
     -1127, "More than 24 hours between startTime and endTime."),
    ("GET myTrades", {**SYMBOL, "fromId": "1", "startTime": "1"}, *COMBINATION),
    ("GET myTrades", {**SYMBOL, "fromId": "1", "endTime": "1"}, *COMBINATION),
    ("GET myTrades", {**SYMBOL, "orderId": "1", "startTime": "1"}, *COMBINATION),
    ("GET myTrades", {**SYMBOL, "orderId": "1", "fromId": "1", "endTime": "2"}, *COMBINATION),
    ("GET account", {"omitZeroBalances": "maybe"}, -1130, "Data sent for parameter 'omitZeroBalances' is not valid."),
    ("GET account", {"recvWindow": "60001"}, -1131, "recvWindow must be less than 60000."),
    ("GET account", {"recvWindow": ""}, -1105, "Parameter 'recvWindow' was empty."),
    ("GET account", {"recvWindow": "-1"}, -1100,
     r"Illegal characters found in parameter 'recvWindow'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."),
    ("GET account", {"recvWindow": "5000.1234"}, -1111, "Parameter 'recvWindow' has too much precision."),
    ("GET rateLimit/order", SYMBOL, *unread(2)),
])  # fmt: skip
def test_case_C61_signed_requests_that_are_refused(
    tmp_path: Path, path: str, params: dict[str, str], code: int, msg: str
) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        _, placed = await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "mine"})
        sent = {name: str(placed["orderId"]) if text == "OPEN" else text for name, text in params.items()}
        method, _, rest = path.partition(" ")
        assert await call(client, method, rest, sent) == (400, {"code": code, "msg": msg})
        assert len(it.exchange.open_orders("desk")) == 1

    run(tmp_path, scenario)


def test_case_C61_what_is_sent_twice_is_refused_and_the_query_counts_before_the_body(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        headers = {"X-MBX-APIKEY": "key", "Content-Type": "application/x-www-form-urlencoded"}
        for path, data in (("order?side=BUY&side=BUY", ""), ("order", "side=BUY&side=SELL")):
            response = await client.post(f"/api/v3/{path}", data=data, headers=headers)
            assert (response.status, (await response.json())["code"]) == (400, -1101)
        stamp = int(time.time() * 1000)
        query = "&".join(f"{name}={text}" for name, text in LIMIT.items()) + f"&timestamp={stamp}"
        body = "side=SELL&quantity=999"
        signature = interface.signing.sign("secret", query + body)
        response = await client.post(f"/api/v3/order?{query}&signature={signature}", data=body, headers=headers)
        placed = await response.json()
        assert (placed["side"], placed["origQty"]) == ("BUY", "0.01000000")
        response = await client.request("GET", "/api/v3/depth", data="symbol=BTCUSDT", headers=headers)
        assert (await response.json())["code"] == -1102  # a GET has its parameters in the query

    run(tmp_path, scenario)


def test_case_C61_what_is_documented_is_still_taken(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        stamp = int(time.time() * 1_000_000)
        assert (await call(client, "GET", "account", {"recvWindow": "6000.346"}, stamp=stamp))[0] == 200
        assert (await call(client, "GET", "account", {"omitZeroBalances": "true"}))[0] == 200
        _, rates = await call(client, "POST", "order/test", {**LIMIT, "computeCommissionRates": "true"})
        assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
        assert len((await get(client, "/api/v3/exchangeInfo?permissions=SPOT"))[1]["symbols"]) == 2
        assert (await get(client, "/api/v3/exchangeInfo?permissions=[%22MARGIN%22]"))[1]["symbols"] == []
        assert (await get(client, "/api/v3/exchangeInfo?symbolStatus=HALT"))[1]["symbols"] == []
        assert (await get(client, "/api/v3/depth?symbol=BTCUSDT&limit=9999&symbolStatus=TRADING"))[0] == 200
        assert "bidPrice" not in (await get(client, "/api/v3/ticker/24hr?symbol=BTCUSDT&type=MINI"))[1]
        _, placed = await call(client, "POST", "order", {**LIMIT, "newClientOrderId": "both"})
        both = {**SYMBOL, "orderId": placed["orderId"], "origClientOrderId": "both", "cancelRestrictions": "ONLY_NEW"}
        assert (await call(client, "DELETE", "order", both))[1]["status"] == "CANCELED"
        for some in ({}, {"orderId": 1}, {"startTime": 1}, {"endTime": 1}, {"fromId": 1}, {"orderId": 1, "fromId": 1}):
            assert (await call(client, "GET", "myTrades", {**SYMBOL, **some}))[0] == 200

    run(tmp_path, scenario)


# -- streams -----------------------------------------------------------------------------------------------------------

NOT_THERE = (
    "nopeusdt@trade", "BTCUSDT@trade", "btcusdt@Trade", "btcusdt@nothing", "btcusdt@", "@trade", "btcusdt",
    "btcusdt@kline_7m", "btcusdt@kline_5m", "btcusdt@kline", "btcusdt@depth@250ms", "btcusdt@depth7", "btcusdt@depth5",
    "btcusdt@trade@100ms", "btcusdt@trade ", "!ticker@arr", "!nothing", "a" * 60, "f" * 64, "0",
)  # fmt: skip


@pytest.mark.parametrize("name", NOT_THERE)
def test_case_C61_an_unknown_stream_is_refused(tmp_path: Path, name: str) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        socket = await client.ws_connect("/ws")
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade", name], "id": 5})
        error = {"code": 2, "msg": f"Invalid request: unknown stream `{name}`"}
        assert await socket.receive_json(timeout=5) == {"error": error, "id": 5}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 6})
        assert await socket.receive_json(timeout=5) == {"result": [], "id": 6}  # all of it or nothing
        await socket.close()
        paths = [f"/stream?streams=btcusdt@trade/{name}", f"/ws/btcusdt@trade/{name}"]
        for path in paths if name == name.strip() else []:
            with pytest.raises(WSServerHandshakeError) as refused:
                await client.ws_connect(path)
            assert refused.value.status == 400
            response = await client.get(path, headers={"Upgrade": "websocket"})
            assert await response.json() == error
        assert not it.hub.clients

    run(tmp_path, scenario)


VARIANTS = "expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
NO_ID = "Invalid request: request ID must be an unsigned integer"
NO_NAME = "Invalid request: property name must be a string"
TOO_MANY = "Invalid request: too many parameters"
TRADE = '["btcusdt@trade"]'


@pytest.mark.parametrize(("text", "code", "msg", "id_"), [
    ("{", 3, "Invalid JSON: expected value at line 1 column 2", None),
    ("hello", 3, "Invalid JSON: expected value at line 1 column 1", None),
    ("[" * 2000, 3, "Invalid JSON: expected value at line 1 column 2000", None),
    ("[1]", 2, "Invalid request: invalid type, expected an object at line 1 column 3", None),
    ('"SUBSCRIBE"', 2, "Invalid request: invalid type, expected an object at line 1 column 11", None),
    ('{"id":1}', 2, "Invalid request: missing field `method` at line 1 column 8", 1),
    ('{"method":"subscribe","id":1}', 2, f"Invalid request: unknown variant `subscribe`, {VARIANTS} at line 1 column 29", 1),
    ('{"method":7,"id":1}', 2, f"Invalid request: unknown variant `7`, {VARIANTS} at line 1 column 19", 1),
    (f'{{"method":"SUBSCRIBE","params":{TRADE}}}', 2, NO_ID, None),
    *((f'{{"method":"SUBSCRIBE","params":{TRADE},"id":{bad}}}', 2, NO_ID, None)
      for bad in ("1.5", "true", "[]", "{}", '"a b"', '""', f'"{"a" * 37}"', str(2**63))),
    ('{"method":"SUBSCRIBE","id":1}', 2, "Invalid request: missing field `params` at line 1 column 29", 1),
    ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2,
     "Invalid request: invalid type for `params`, expected a sequence at line 1 column 54", 1),
    ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "Invalid request: stream name must be a string", 1),
    ('{"method":"LIST_SUBSCRIPTIONS","params":["a"],"id":1}', 2, TOO_MANY, 1),
    ('{"method":"GET_PROPERTY","id":1}', 2, NO_NAME, 1),
    ('{"method":"GET_PROPERTY","params":[7],"id":1}', 2, NO_NAME, 1),
    ('{"method":"GET_PROPERTY","params":["combined",true],"id":1}', 2, TOO_MANY, 1),
    ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0, "Unknown property", 1),
    ('{"method":"SET_PROPERTY","params":["colour",true],"id":1}', 0, "Unknown property", 1),
    ('{"method":"SET_PROPERTY","params":["combined"],"id":1}', 1, "Invalid value type: expected Boolean", 1),
    ('{"method":"SET_PROPERTY","params":["combined","true"],"id":1}', 1, "Invalid value type: expected Boolean", 1),
    ('{"method":"SET_PROPERTY","params":["combined",true,true],"id":1}', 2, TOO_MANY, 1),
])  # fmt: skip
def test_case_C61_a_malformed_market_request(tmp_path: Path, text: str, code: int, msg: str, id_: object) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        socket = await client.ws_connect("/ws")
        await socket.send_str(text)
        assert await socket.receive_json(timeout=5) == {"error": {"code": code, "msg": msg}, "id": id_}
        await socket.send_str('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":null}')
        assert await socket.receive_json(timeout=5) == {"result": None, "id": None}
        await socket.close()

    run(tmp_path, scenario)


def test_case_C61_no_more_streams_than_allowed_in_either_form(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        names = ["btcusdt@trade", "btcusdt@depth", "ethusdt@trade"]
        response = await client.get(f"/stream?streams={'/'.join(names)}", headers={"Upgrade": "websocket"})
        assert (response.status, await response.json()) == (400, {"code": 2, "msg": TOO_MANY})
        socket = await client.ws_connect(f"/stream?streams={'/'.join([*names[:2], *names[:2]])}")
        await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
        await until(socket, lambda m: m == {"error": {"code": 2, "msg": TOO_MANY}, "id": 1})
        await socket.close()

    interface.with_venue(tmp_path, scenario, Rules(streams=2))


# -- user streams ------------------------------------------------------------------------------------------------------


def test_case_C61_an_expired_listen_key_is_not_a_stream(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        headers = {"X-MBX-APIKEY": "key"}
        key = (await (await client.post("/api/v3/userDataStream", headers=headers)).json())["listenKey"]
        socket = await client.ws_connect("/ws")
        await socket.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 1}
        await socket.send_json({"method": "UNSUBSCRIBE", "params": [key], "id": 2})
        assert await socket.receive_json(timeout=5) == {"result": None, "id": 2}
        assert not it.users.listening("desk")
        await client.delete(f"/api/v3/userDataStream?listenKey={key}", headers=headers)
        await socket.send_json({"method": "SUBSCRIBE", "params": [key], "id": 3})
        assert (await socket.receive_json(timeout=5))["error"]["code"] == 2
        for path in (f"/ws/{key}", f"/stream?streams={key}"):
            with pytest.raises(WSServerHandshakeError):
                await client.ws_connect(path)
        await socket.close()
        api = await client.ws_connect("/ws-api/v3")
        for method in ("userDataStream.ping", "userDataStream.stop"):
            for params, code in (({}, -1102), ({"listenKey": ""}, -1105), ({"listenKey": key}, -1125)):
                await api.send_json({"id": "k", "method": method, "params": {"apiKey": "key", **params}})
                assert (await until(api, lambda m: m.get("id") == "k"))["error"]["code"] == code
        await api.close()

    run(tmp_path, scenario)


def test_case_C61_the_websocket_api_refuses_as_documented(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        api = await client.ws_connect("/ws-api/v3")
        for text in ("{", "[]", '{"method":"ping"}', '{"id":1}', '{"id":1,"method":"ping","params":[]}'):
            await api.send_str(text)
            answer = await api.receive_json(timeout=5)
            assert (answer["status"], answer["error"]["code"]) == (400, -1135)
        assert (await ask(api, "order.dance", {}))[0] == 400
        assert (await ask(api, "userDataStream.unsubscribe", {}))[1]["code"] == -2036
        assert (await ask(api, "userDataStream.subscribe.signature", {}))[1] == {"subscriptionId": 0}
        assert (await ask(api, "userDataStream.subscribe.signature", {}))[1]["code"] == -2035
        assert (await ask(api, "userDataStream.unsubscribe", {}))[1] == {}
        assert (await ask(api, "userDataStream.subscribe.signature", {"listenKey": "x"}))[1]["code"] == -1104
        assert (await ask(api, "v3/account.status", {}))[0] == 200
        await api.send_json({"id": 9, "method": "time", "params": {"returnRateLimits": False}})
        assert set(await api.receive_json(timeout=5)) == {"id", "status", "result"}
        await api.close()

    run(tmp_path, scenario)
