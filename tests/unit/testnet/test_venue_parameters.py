"""Orders by their parameters, case by case. The tables here are Binance's documents, not the venue's own table: rest-api.md
(New order), errors.md, filters.md and the FAQs on market orders and self-trade prevention."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from stormdesk.testnet.venue.api import Api
from stormdesk.testnet.venue.keys import Account, Config
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.parameters import READS
from stormdesk.testnet.venue.rest import venue_app
from stormdesk.testnet.venue.rules import Rules
from tests.unit.testnet.test_venue_interface import signed, until
from tests.unit.testnet.test_venue_rest import call

Client = TestClient[Any, Any]
VALUES = {
    "timeInForce": "GTC", "quantity": "0.01", "quoteOrderQty": "600", "price": "50000", "stopPrice": "55000",
    "trailingDelta": "100", "icebergQty": "0.001",
}  # fmt: skip
# What each type needs, what it may have, and how a symbol that does not support it is called.
NEEDED = {
    "LIMIT": "timeInForce quantity price",
    "LIMIT_MAKER": "quantity price",
    "MARKET": "quantity",
    "STOP_LOSS": "quantity stopPrice",
    "STOP_LOSS_LIMIT": "timeInForce quantity price stopPrice",
    "TAKE_PROFIT": "quantity stopPrice",
    "TAKE_PROFIT_LIMIT": "timeInForce quantity price stopPrice",
}
ICEBERGS = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
UNSUPPORTED = {
    "STOP_LOSS": "Stop loss orders are not supported for this symbol.",
    "STOP_LOSS_LIMIT": "Stop loss limit orders are not supported for this symbol.",
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}
TRAILING = "Trailing stop orders are not supported for this symbol."
ICEBERG = "Iceberg orders are not supported for this symbol."
DECIMAL = r"legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."
WHOLE = "legal range is '^[0-9]{1,20}$'."
ID = "legal range is '^[a-zA-Z0-9-_]{1,36}$'."
Expected = tuple[int, str] | None


def of(kind: str, **more: str | None) -> dict[str, str]:
    """A right order of a type, with some parameters more, other, or (None) missing."""
    base = {name: VALUES[name] for name in NEEDED[kind].split()}
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": kind} | base | more
    return {name: text for name, text in params.items() if text is not None}


def missing(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def neither(one: str, other: str) -> tuple[int, str]:
    return -1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!"


def when_added(kind: str, name: str) -> Expected:
    """What Binance says to a right order of a type that has this parameter too."""
    if name in NEEDED[kind].split():
        return (-1013, UNSUPPORTED[kind]) if kind in UNSUPPORTED else None
    if name == "trailingDelta" and kind in UNSUPPORTED:
        return -1013, TRAILING
    if name == "icebergQty" and kind in ICEBERGS:
        return -1013, UNSUPPORTED.get(kind, ICEBERG)
    return -1106, f"Parameter '{name}' sent when not required."


def when_taken_away(kind: str, name: str) -> Expected:
    if name == "stopPrice":
        return neither("stopPrice", "trailingDelta")
    return neither("quantity", "quoteOrderQty") if kind == "MARKET" else missing(name)


WALK = [
    *((of(kind, **{name: VALUES[name]}), when_added(kind, name)) for kind in NEEDED for name in VALUES),
    *((of(kind, **{name: None}), when_taken_away(kind, name)) for kind in NEEDED for name in NEEDED[kind].split()),
    *((of(kind, **{name: ""}), (-1105, f"Parameter '{name}' was empty.")) for kind in NEEDED for name in VALUES),
]
SINGLE: list[tuple[dict[str, str], Expected]] = [
    # all types
    *((of("LIMIT", **{name: None}), missing(name)) for name in ("symbol", "side", "type")),
    *((of("MARKET", **{name: ""}), (-1105, f"Parameter '{name}' was empty.")) for name in ("symbol", "side", "type")),
    (of("LIMIT", symbol="btcusdt"),
     (-1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.")),
    (of("LIMIT", symbol="BTC/USDT"),
     (-1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.")),
    (of("LIMIT", symbol="NOPEUSDT"), (-1121, "Invalid symbol.")),
    *((of("LIMIT", side=text), (-1117, "Invalid side.")) for text in ("buy", "HOLD", "1")),
    *((of("LIMIT", type=text), (-1116, "Invalid orderType.")) for text in ("limit", "STOP", "OCO", "TRAILING_STOP")),
    *((of("LIMIT", timeInForce=text), (-1115, "Invalid timeInForce.")) for text in ("gtc", "GTX", "DAY")),
    # amounts
    *((of("LIMIT", **{name: text}), (-1100, f"Illegal characters found in parameter '{name}'; {DECIMAL}"))
      for name in ("quantity", "price")
      for text in ("-1", "+1", "1e-2", "1E2", "0x1", ".5", "5.", "1,5", " 1", "1_0", "NaN", "9" * 21, "1." + "0" * 21)),
    (of("MARKET", quantity=None, quoteOrderQty="-5"),
     (-1100, f"Illegal characters found in parameter 'quoteOrderQty'; {DECIMAL}")),
    (of("LIMIT", quantity="92233720368.54775808"), (-1108, "Parameter 'quantity' overflowed.")),
    (of("LIMIT", price="9" * 20), (-1108, "Parameter 'price' overflowed.")),
    *((of("LIMIT", **{name: "1.000000001"}), (-1111, f"Parameter '{name}' has too much precision."))
      for name in ("quantity", "price")),
    (of("MARKET", quantity=None, quoteOrderQty="50.000000001"),
     (-1111, "Parameter 'quoteOrderQty' has too much precision.")),
    (of("LIMIT", quantity="0"), (-1013, "Invalid quantity.")),
    (of("MARKET", quantity="0.00"), (-1013, "Invalid quantity.")),
    (of("LIMIT", price="0"), (-1013, "Invalid price.")),
    (of("MARKET", quantity=None, quoteOrderQty="0"), (-1013, "Invalid quote order qty.")),
    # the two quantities of a market order
    (of("MARKET", quoteOrderQty="600", price="1"), (-1106, "Parameter 'price' sent when not required.")),
    (of("MARKET", timeInForce="IOC"), (-1106, "Parameter 'timeInForce' sent when not required.")),
    (of("LIMIT", quantity=None, quoteOrderQty="600"), missing("quantity")),
    # labels
    *((of("LIMIT", **{name: text}), (-1100, f"Illegal characters found in parameter '{name}'; {WHOLE}"))
      for name in ("strategyId", "strategyType", "trailingDelta") for text in ("x", "-1", "1.5")),
    (of("LIMIT", strategyType="999999"), (-1134, "strategyType was less than 1000000.")),
    (of("LIMIT", strategyId="9" * 20), (-1108, "Parameter 'strategyId' overflowed.")),
    (of("LIMIT", strategyId="0", strategyType="1000000"), None),
    *((of("LIMIT", newClientOrderId=text), (-1100, f"Illegal characters found in parameter 'newClientOrderId'; {ID}"))
      for text in ("a" * 37, "a.b", "a b", "ä", "a/b", "a:b")),
    (of("LIMIT", newClientOrderId=""), (-1105, "Parameter 'newClientOrderId' was empty.")),
    (of("LIMIT", newClientOrderId="a" * 36), None),
    # words
    *((of("LIMIT", **{name: text}), (-1130, f"Data sent for parameter '{name}' is not valid."))
      for name in ("newOrderRespType", "selfTradePreventionMode") for text in ("FOO", "full", "none")),
    *((of("LIMIT", selfTradePreventionMode=mode),
       (-1013, "This symbol does not allow the specified self-trade prevention mode."))
      for mode in ("NONE", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")),
    (of("LIMIT", selfTradePreventionMode="EXPIRE_MAKER"), None),
    # icebergs and pegs
    *((of("LIMIT", icebergQty="0.001", timeInForce=tif), (-1014, "Unsupported order combination."))
      for tif in ("IOC", "FOK")),
    (of("LIMIT", pegPriceType="PRIMARY_PEG", price=None), (-1013, "Pegged orders are not supported for this symbol.")),
    (of("MARKET", pegPriceType="PRIMARY_PEG"), (-1013, "This order type may not use pegged price.")),
    (of("LIMIT", pegPriceType="BEST"), (-1210, "Invalid pegPriceType.")),
    (of("LIMIT", pegOffsetType="TICKS"), (-1211, "Invalid pegOffsetType.")),
    (of("LIMIT", pegOffsetType="PRICE_LEVEL"), (-1128, "Combination of optional parameters invalid.")),
    # what nobody reads: the three of the signature (timestamp, signature) and those of the order are counted
    (of("MARKET", created="1"),
     (-1104, "Not all sent parameters were read; read '6' parameter(s) but was sent '7'.")),
    (of("LIMIT", timeInForce=None, timeInforce="GTC"),
     (-1104, "Not all sent parameters were read; read '7' parameter(s) but was sent '8'.")),
    (of("MARKET", computeCommissionRates="true"),
     (-1104, "Not all sent parameters were read; read '6' parameter(s) but was sent '7'.")),
    (of("MARKET", **{f"x{n}": "1" for n in range(18)}),
     (-1101, "Too many parameters; expected '21' and received '24'.")),
    # filters
    (of("LIMIT", price="50000.001"), (-1013, "Filter failure: PRICE_FILTER")),
    (of("LIMIT", price="1000000.01"), (-1013, "Filter failure: PRICE_FILTER")),
    (of("LIMIT", price="400000"), (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")),
    (of("LIMIT", price="100", quantity="1"), (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")),
    (of("LIMIT", quantity="0.000001"), (-1013, "Filter failure: LOT_SIZE")),
    (of("LIMIT", quantity="9000.00001"), (-1013, "Filter failure: LOT_SIZE")),
    (of("MARKET", quantity="9000.00001"), (-1013, "Filter failure: LOT_SIZE")),
    (of("LIMIT", quantity="0.00001"), (-1013, "Filter failure: NOTIONAL")),
    (of("MARKET", quantity="0.00001"), (-1013, "Filter failure: NOTIONAL")),
    (of("MARKET", quantity=None, quoteOrderQty="4.99"), (-1013, "Filter failure: NOTIONAL")),
]  # fmt: skip
CASES = [*WALK, *SINGLE]
COUNTED = (-1101, -1104)  # their text has numbers that differ between the ways in


def name_of(case: object) -> str:
    if isinstance(case, dict):
        return "&".join(f"{key}={text[:12]}" for key, text in case.items() if (key, text) not in RIGHT)
    return str(case[0]) if isinstance(case, tuple) else ""


RIGHT = {("symbol", "BTCUSDT"), ("side", "BUY"), *((n, t) for n, t in VALUES.items() if n != "stopPrice")}


def desk(home: Path, **limits: Any) -> Desk:
    account = Account("desk", "key", "secret", {"USDT": "100000", "BTC": "5", "ETH": "50"})
    return Desk(Config("", "", str(home), "", 7, ["BTCUSDT", "ETHUSDT"], [account], limits=Rules(**limits)))


async def ask(socket: Any, method: str, params: dict[str, Any]) -> tuple[int, Any]:
    """A signed request of the WebSocket API, answered as REST would."""
    await socket.send_json({"id": "q", "method": method, "params": signed(params)})
    answer = await until(socket, lambda m: m.get("id") == "q")
    return answer["status"], answer.get("error") or answer["result"]


@pytest.mark.parametrize(("params", "expected"), CASES, ids=name_of)
def test_case_C61_an_order_by_its_parameters(tmp_path: Path, params: dict[str, str], expected: Expected) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        socket = await client.ws_connect("/ws-api/v3")
        answers = [await call(client, "POST", "order", params)]
        await call(client, "DELETE", "openOrders", {"symbol": "BTCUSDT"})
        answers.append(await call(client, "POST", "order", params, where="body"))
        await call(client, "DELETE", "openOrders", {"symbol": "BTCUSDT"})
        answers.append(await ask(socket, "order.place", params))
        if "computeCommissionRates" not in params:
            answers += [await call(client, "POST", "order/test", params), await ask(socket, "order.test", params)]
        if expected is None:
            assert [status for status, _ in answers] == [200] * 5
        else:
            code, msg = expected
            assert answers[0] == (400, {"code": code, "msg": msg})
            assert {(status, told["code"]) for status, told in answers} == {(400, code)}
            assert code in COUNTED or {told["msg"] for _, told in answers} == {msg}
            assert not it.exchange.orders
        await socket.close()

    run(tmp_path, scenario)


def run(home: Path, scenario: Any) -> None:
    async def whole() -> None:
        it = desk(home)
        async with TestClient(TestServer(venue_app(it))) as client:
            await scenario(client, it)
        it.journal.close()

    asyncio.run(whole())


def test_case_C61_every_endpoint_says_what_it_reads(tmp_path: Path) -> None:
    it = desk(tmp_path)
    served = {(m, path.removeprefix("/api/v3/").removeprefix("/sapi/v1/")) for m, path in Api(it).operations}
    assert served == set(READS)
    it.journal.close()


def test_case_C61_what_exchange_info_lists_is_what_is_taken(tmp_path: Path) -> None:
    it = desk(tmp_path)
    for symbol in it.exchange.symbols.values():
        listed = symbol.describe()
        assert listed["orderTypes"] == [kind for kind in NEEDED if kind not in UNSUPPORTED]
        assert listed["quoteOrderQtyMarketAllowed"] is True
        flags = ("icebergAllowed", "ocoAllowed", "otoAllowed", "opoAllowed", "allowTrailingStop", "amendAllowed")
        assert not any(listed[flag] for flag in (*flags, "cancelReplaceAllowed", "pegInstructionsAllowed"))
    it.journal.close()
