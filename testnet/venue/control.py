"""The control port: the journal and the venue's own view, for checks and operators. Faults never affect it."""

from __future__ import annotations

import time
from decimal import Decimal

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from stormdesk.testnet.service import json_response, metrics_handler
from stormdesk.testnet.venue import events, replies
from stormdesk.testnet.venue.breakpoint_control import BreakpointControl
from stormdesk.testnet.venue.faults.control import FaultControl
from stormdesk.testnet.venue.market import UNIT, plain
from stormdesk.testnet.venue.metrics import numbers
from stormdesk.testnet.venue.order_entry import Desk

MAX_DIGITS = 18


class TransferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A deposit from the house's funds; a negative amount is a withdrawal."""

    account: str
    asset: str
    amount: str


class Control:
    """The handlers of the control port."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def health(self, _: web.Request) -> web.Response:
        return json_response({"ok": True, "seq": self._desk.journal.seq, "symbols": list(self._desk.exchange.symbols)})

    async def journal(self, request: web.Request) -> web.StreamResponse:
        """GET /journal?since=<seq>: the lines after that one."""
        since = _number(request, "since")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for chunk in self._desk.journal.since(since):
            await response.write(chunk)
        return response

    async def balances(self, _: web.Request) -> web.Response:
        held = self._desk.exchange.accounts
        view = {
            name: {a: {"free": plain(b.free), "locked": plain(b.locked)} for a, b in held.of(name).items()}
            for name in held.totals()
        }
        return json_response(view)

    async def orders(self, request: web.Request) -> web.Response:
        """All that were ever accepted, or with `open=true` those that are open."""
        every = self._desk.exchange.orders.values()
        orders = [order for order in every if order.is_open] if request.query.get("open") == "true" else every
        return json_response([{"account": order.account, **replies.queried(order)} for order in orders])

    async def depth(self, request: web.Request) -> web.Response:
        """GET /depth?symbol=<symbol>&at=<update id>: the whole book as of that update; 404 when it is too old."""
        book = self._desk.exchange.books[self._symbol(request)]
        at = _number(request, "at", book.update_id)
        levels = book.at(at)
        if levels is None:
            return json_response({"error": f"the book is at {book.update_id}; as of {at} it is not known"}, 404)
        bids, asks = levels
        return json_response({"lastUpdateId": at, "bids": replies.pairs(bids), "asks": replies.pairs(asks)})

    async def trades(self, request: web.Request) -> web.Response:
        """GET /trades?symbol=<symbol>&from=<trade id>: all public trades from that id on; 404 when some are too old."""
        prints, first = self._desk.exchange.prints[self._symbol(request)], _number(request, "from")
        if len(prints) == prints.maxlen and prints[0].trade_id > first:
            return json_response({"error": f"trades before {prints[0].trade_id} are in the journal only"}, 404)
        return json_response([replies.public_trade(trade) for trade in prints if trade.trade_id >= first])

    async def transfer(self, request: web.Request) -> web.Response:
        """POST /transfer {account, asset, amount}"""
        try:
            asked = msgspec.json.decode(await request.read(), type=TransferRequest)
            amount = Decimal(asked.amount).quantize(UNIT)
            self._desk.exchange.transfer(asked.account, asked.asset, amount, time.time())
        except (msgspec.DecodeError, ArithmeticError, KeyError, ValueError) as error:
            return json_response({"error": f"{type(error).__name__}: {error}"}, 400)
        self._desk.note(events.Mark(t=time.time(), what="transfer", detail=msgspec.to_builtins(asked)))
        self._desk.commit()
        return json_response({"ok": True})

    def _symbol(self, request: web.Request) -> str:
        symbol = request.query.get("symbol", "")
        if symbol not in self._desk.exchange.symbols:
            raise web.HTTPBadRequest(text=f"symbol: {symbol!r} is not one of {', '.join(self._desk.exchange.symbols)}")
        return symbol


def _number(request: web.Request, name: str, default: int = 0) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise web.HTTPBadRequest(text=f"{name}: {text!r} is not a number")
    return int(text)


@web.middleware
async def _speak(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return json_response({"error": error.text}, error.status)


def control_app(desk: Desk) -> web.Application:
    """The control port, for checks and operators."""
    control = Control(desk)
    app = web.Application(middlewares=[_speak])
    app.add_routes(
        [
            web.get("/health", control.health),
            web.get("/journal", control.journal),
            web.get("/balances", control.balances),
            web.get("/orders", control.orders),
            web.get("/depth", control.depth),
            web.get("/trades", control.trades),
            web.post("/transfer", control.transfer),
            web.get("/metrics", metrics_handler(numbers(desk))),
            *FaultControl(desk).routes(),
            *BreakpointControl(desk).routes(),
        ]
    )
    return app
