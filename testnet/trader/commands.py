"""The part of the trader's HTTP that changes something, docs/formats/trader.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeVar

import msgspec
from aiohttp import web

from stormdesk.testnet.people import NotAPersonError, person
from stormdesk.testnet.service import json_response
from stormdesk.testnet.trader.ids import client_order_id
from stormdesk.testnet.trader.loops import Loops
from stormdesk.testnet.trader.reconcile import UnsettledError
from stormdesk.testnet.trader.store import StoreError
from stormdesk.testnet.trader.strategy import Intent
from stormdesk.testnet.trader.trader import Trader

STRATEGY = "ext"  # of signals that come from outside
Handler = Callable[[web.Request], Awaitable[web.Response]]
T = TypeVar("T", bound=msgspec.Struct)


class BadRequestError(ValueError):
    """The message says what is wrong with the body."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /execution/intents`. Amounts are decimal strings."""

    signal: str
    symbol: str
    side: str
    type: str
    qty: str
    price: str = "0"


class Command(msgspec.Struct, forbid_unknown_fields=True):
    """Who gives the command, and why."""

    by: str = ""
    reason: str = ""
    symbol: str | None = None
    strategy: str | None = None


class Mend(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /reconcile`: the kind of drift that a person accepts, if any."""

    accept: Literal["", "rollback", "balance"] = ""
    by: str = ""


def intent_of(order: Order, trader: Trader) -> Intent:
    """The order as an intent of the current epoch. Raises BadRequestError."""
    instrument = trader.desk.instruments.get(order.symbol)
    if instrument is None:
        raise BadRequestError(f"symbol: {order.symbol} is not traded here")
    if order.side not in ("BUY", "SELL") or order.type not in ("LIMIT", "MARKET"):
        raise BadRequestError("side is BUY or SELL, type is LIMIT or MARKET")
    if not 0 < len(order.signal) <= 200 or not order.signal.isprintable():
        raise BadRequestError("signal: 1 to 200 printable characters")
    try:
        qty, price = Decimal(order.qty), Decimal(order.price)
    except InvalidOperation:
        raise BadRequestError("qty and price are decimal numbers") from None
    if not qty.is_finite() or qty <= 0 or qty % instrument.step:
        raise BadRequestError(f"qty: more than 0, in steps of {instrument.step:f}")
    if order.type == "LIMIT" and (not price.is_finite() or price <= 0 or price % instrument.tick):
        raise BadRequestError(f"price: more than 0, in steps of {instrument.tick:f}")
    signal = f"{STRATEGY}:{order.signal}"
    cid = client_order_id(STRATEGY, trader.epoch, signal)
    limit = price if order.type == "LIMIT" else Decimal(0)
    return Intent(cid, signal, order.symbol, order.side, order.type, limit, qty, trader.epoch)


class Commands:
    """The handlers."""

    def __init__(self, trader: Trader, loops: Loops) -> None:
        self._trader = trader
        self._loops = loops

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/execution/intents", _clean(self.intents)),
            web.post("/execution/kill-switch/activate", _clean(self.kill)),
            web.post("/execution/kill-switch/reset", _clean(self.unkill)),
            web.get("/execution/kill-switch/status", self.killed),
            web.post("/execution/pause", _clean(self.pause)),
            web.post("/execution/resume", _clean(self.resume)),
            web.post("/execution/breakers/reset", _clean(self.reset_breakers)),
            web.post("/execution/repeats/reset", _clean(self.reset_repeats)),
            web.post("/reconcile", _clean(self.reconcile)),
        ]

    async def intents(self, request: web.Request) -> web.Response:
        trader, order = self._trader, await _body(request, Order)
        trader.ledger.note("SIGNAL", "", **msgspec.to_builtins(order))
        if reasons := trader.blocked(order.symbol, STRATEGY):
            return json_response({"reasons": reasons}, 503)
        intent = intent_of(order, trader)
        if reason := await trader.offer(intent):
            return json_response({"skipped": reason})
        await trader.controls.signatures.flush()
        return json_response({"client_order_id": intent.client_order_id, "epoch": intent.epoch}, 202)

    async def kill(self, request: web.Request) -> web.Response:
        asked = await _body(request, Command)
        controls = self._trader.controls
        await controls.kill(self._trader.sweep, asked.reason or "no reason given", asked.by or "unknown")
        self._loops.kick.set()
        return await self.killed(request)

    async def unkill(self, request: web.Request) -> web.Response:
        await self._trader.controls.kill_switch.reset((await _body(request, Command)).by)
        return await self.killed(request)

    async def killed(self, _: web.Request) -> web.Response:
        switch, sweep = self._trader.controls.kill_switch, self._trader.sweep
        active = switch.state.active
        found = {"open_at_venue": sweep.open_at_venue if active else None, "verified": active and sweep.verified}
        return json_response(msgspec.to_builtins(switch.state) | {"persisted": switch.persisted} | found)

    async def pause(self, request: web.Request) -> web.Response:
        asked = await _body(request, Command)
        kept = await self._trader.controls.pause.pause(asked.reason or "no reason given", asked.by or "unknown")
        return json_response({"paused": True, "persisted": kept})

    async def resume(self, request: web.Request) -> web.Response:
        done = await self._trader.controls.pause.resume((await _body(request, Command)).by or "unknown")
        return json_response({"paused": not done}, 200 if done else 503)

    async def reset_breakers(self, request: web.Request) -> web.Response:
        symbol = (await _body(request, Command)).symbol
        breakers = self._trader.controls.breakers
        if symbol is not None and symbol not in breakers.all:
            raise BadRequestError(f"symbol: {symbol} is not traded here")
        await breakers.reset(symbol)
        return json_response({symbol: breaker.circuit for symbol, breaker in breakers.all.items()})

    async def reset_repeats(self, request: web.Request) -> web.Response:
        asked, repeats = await _body(request, Command), self._trader.controls.repeats
        await repeats.reset(asked.by, asked.strategy)
        return json_response({"closed": repeats.closed})

    async def reconcile(self, request: web.Request) -> web.Response:
        trader, asked = self._trader, await _body(request, Mend)
        by = person(asked.by) if asked.accept else ""
        if not trader.leads():
            return json_response({"error": "not the leader"}, 503)
        try:
            mended = await trader.reconciler.accept(asked.accept, by) if asked.accept else []
            items = await trader.reconciler.run(trader.leads)
        except (UnsettledError, StoreError) as error:
            return json_response({"error": str(error)}, 503)
        views = [[{"kind": i.kind, "what": i.what, "booked": i.booked} for i in found] for found in (items, mended)]
        return json_response({"clean": not items, "drift": views[0], "mended": views[1]})


async def _body(request: web.Request, kind: type[T]) -> T:
    """The JSON body; an empty one is {}. Raises BadRequestError."""
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise BadRequestError(str(error)) from error


def _clean(handler: Handler) -> Handler:
    """Errors in a request become an answer, not a traceback."""

    async def wrapped(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (BadRequestError, NotAPersonError) as error:
            return json_response({"error": str(error)}, 400)
        except OSError as error:
            return json_response({"error": str(error)}, 503)

    return wrapped
