"""All requests of the venue in one table, for REST and the WebSocket API.

A request is answered without an await, so requests never interleave. Requests that change orders are journaled before they are
checked, and again when they are refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stormdesk.testnet.venue import errors, events, signing
from stormdesk.testnet.venue.breakpoints import Breakpoint
from stormdesk.testnet.venue.errors import ApiError, ThrottledError
from stormdesk.testnet.venue.faults.model import Asked
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.parameters import READS, SIGNED, SOCKET, check
from stormdesk.testnet.venue.params import Params, instant, is_true
from stormdesk.testnet.venue.private import Private, fresh_id
from stormdesk.testnet.venue.public import Public

Weight = Callable[[Params], int]
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50))
DEPTH_WEIGHT_MAX = 250


@dataclass(slots=True)
class Ask:
    """A request. `payload` is what `signature` signs; `session` is the account that the connection is logged on as."""

    method: str
    path: str
    params: dict[str, str]
    api_key: str
    payload: str
    remote: str
    session: str = ""
    twice: bool = False  # a parameter is repeated
    over_socket: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A request's handler: public, for a key, or for an account that signed."""

    weight: Weight
    public: Callable[[Params], object] | None = None
    keyed: Callable[[str, Params], object] | None = None
    signed: Callable[[str, Params], object] | None = None
    changes: bool = False


@dataclass(slots=True)
class Reply:
    """An answer and its headers; `changed`: the journal must be on the disk before it is sent; `kept` until that breakpoint is over."""

    document: object
    headers: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False
    kept: Breakpoint | None = None


def _fixed(weight: int) -> Weight:
    return lambda _: weight


def _by_symbol(one: int, every: int) -> Weight:
    return lambda params: one if "symbol" in params else every


def _test_weight(params: Params) -> int:
    return 20 if is_true(params, "computeCommissionRates") else 1


def depth_weight(params: Params) -> int:
    """5, 25, 50 or 250 for up to 100, 500, 1000 or 5000 levels."""
    text = params.get("limit", "100")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return next((weight for most, weight in DEPTH_WEIGHTS if limit <= most), DEPTH_WEIGHT_MAX)


class Api:
    """Answers requests: charge, authenticate, do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        public = Public(desk)
        private = Private(desk, public)
        users = desk.users
        one, two = _fixed(1), _fixed(2)
        twenty = _fixed(20)
        v3 = {
            ("GET", "ping"): Operation(one, public=public.ping),
            ("GET", "time"): Operation(one, public=public.time),
            ("GET", "exchangeInfo"): Operation(twenty, public=public.exchange_info),
            ("GET", "depth"): Operation(depth_weight, public=public.depth),
            ("GET", "trades"): Operation(_fixed(25), public=public.trades),
            ("GET", "historicalTrades"): Operation(_fixed(25), public=public.historical_trades),
            ("GET", "aggTrades"): Operation(_fixed(4), public=public.agg_trades),
            ("GET", "klines"): Operation(two, public=public.klines),
            ("GET", "avgPrice"): Operation(two, public=public.average),
            ("GET", "ticker/24hr"): Operation(_by_symbol(2, 80), public=public.ticker_day),
            ("GET", "ticker/price"): Operation(_by_symbol(2, 4), public=public.ticker_price),
            ("GET", "ticker/bookTicker"): Operation(_by_symbol(2, 4), public=public.book_ticker),
            ("POST", "userDataStream"): Operation(two, keyed=users.open_key),
            ("PUT", "userDataStream"): Operation(two, keyed=users.keep_key),
            ("DELETE", "userDataStream"): Operation(two, keyed=users.close_key),
            ("GET", "account"): Operation(twenty, signed=private.account),
            ("GET", "order"): Operation(_fixed(4), signed=private.query),
            ("GET", "openOrders"): Operation(_by_symbol(6, 80), signed=private.open_orders),
            ("GET", "allOrders"): Operation(twenty, signed=private.all_orders),
            ("GET", "myTrades"): Operation(lambda p: 5 if "orderId" in p else 20, signed=private.my_trades),
            ("GET", "rateLimit/order"): Operation(_fixed(40), signed=private.order_counts),
            ("POST", "order/test"): Operation(_test_weight, signed=private.test),
            ("POST", "order"): Operation(one, signed=private.place, changes=True),
            ("DELETE", "order"): Operation(one, signed=private.cancel, changes=True),
            ("DELETE", "openOrders"): Operation(one, signed=private.cancel_all, changes=True),
        }
        self.operations = {(method, f"/api/v3/{path}"): operation for (method, path), operation in v3.items()}
        self.operations["GET", "/sapi/v1/asset/tradeFee"] = Operation(one, signed=private.fees)
        self._paths = {path for _, path in self.operations}

    def answer(self, ask: Ask) -> Reply:
        """Answer a request. Raises ApiError."""
        operation = self.operations.get((ask.method, ask.path))
        if operation is None:
            raise ApiError(*(errors.WRONG_METHOD if ask.path in self._paths else errors.NOT_FOUND))
        now = time.time()
        placing = operation.changes and ask.method == "POST"
        cid = ask.params.get("newClientOrderId" if placing else "origClientOrderId", "")
        cid = cid or (fresh_id() if placing else "")
        claimed = ask.session or self._desk.keys.name(ask.api_key)
        if operation.changes:
            self._desk.note(
                events.Request(
                    t=now, method=ask.method, client_order_id=cid, account=claimed, remote=ask.remote,
                    timestamp=_stamp(ask.params),
                )
            )  # fmt: skip
        try:
            self._desk.refuse(_asked(ask, claimed))
            self._desk.limits.charge(ask.remote, operation.weight(ask.params), now)
            reply = self._do(operation, ask, cid if placing else "", now)
        except ApiError as error:
            if isinstance(error, ThrottledError):
                self.note_throttled(error, claimed, ask.remote)
            if placing:
                self._desk.note(
                    events.Rejected(t=now, client_order_id=cid, account=claimed, code=error.code, msg=error.msg)
                )
            raise
        if operation.changes:
            reply.kept = self._desk.commit()
            reply.changed = True
        return reply

    def note_throttled(self, error: ThrottledError, account: str, remote: str) -> None:
        """Journal that a client was told to wait, and that it came too early."""
        now, used = time.time(), self._desk.limits.used(remote, time.time())
        if error.early:
            self._desk.note(events.Early(t=now, account=account, remote=remote, until=error.until))
        self._desk.note(
            events.Throttled(
                t=now, account=account, remote=remote, status=error.status, code=error.code,
                retry_after_s=error.retry_after_s, until=error.until, used_weight=used,
            )
        )  # fmt: skip

    def _do(self, operation: Operation, ask: Ask, placing: str, now: float) -> Reply:
        """Call the handler. `placing` is the client order id of a new order."""
        if ask.twice:
            raise ApiError(*errors.DUPLICATES)
        key = SOCKET if ask.over_socket else ()
        reads = READS[ask.method, ask.path.removeprefix("/api/v3/").removeprefix("/sapi/v1/")]
        if operation.public:
            check(reads, ask.params, key)
            return Reply(operation.public(ask.params))
        if operation.keyed:
            account = self._desk.keys.account(ask.api_key).name
            check(reads, ask.params, key)
            return Reply(operation.keyed(account, ask.params))
        assert operation.signed is not None
        account = self.authenticate(ask)
        headers = self._desk.limits.order(account, now) if placing else {}
        check(reads, ask.params, (*SIGNED, *key))
        if placing:
            ask.params["newClientOrderId"] = placing
        return Reply(operation.signed(account, ask.params), headers)

    def authenticate(self, ask: Ask) -> str:
        """The name of the account that signed. Raises ApiError; the checks are in Binance's order."""
        if ask.session and not ask.api_key:
            signing.check_window(ask.params, int(self._desk.now() * 1000))
            return ask.session
        account = self._desk.keys.account(ask.api_key)
        signature = ask.params.get("signature")
        if not signature:
            raise errors.missing("signature")
        signing.check_window(ask.params, int(self._desk.now() * 1000))
        signing.check_signature(account, ask.payload, signature)
        return account.name


def _asked(ask: Ask, account: str) -> Asked:
    """The request as faults see it."""
    return Asked(ask.method, ask.path.removeprefix("/api/v3/"), account, ask.remote, ask.params.get("symbol", ""))


def _stamp(params: Params) -> int:
    text = params.get("timestamp", "")
    return instant(params, "timestamp") if text.isascii() and text.isdigit() and len(text) < 19 else 0
