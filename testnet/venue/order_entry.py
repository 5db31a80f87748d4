"""The venue's order entry: keeps engine, journal and streams consistent.

The sequence is always: the engine decides, the journal stores, the streams publish, the client gets its answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import ROUND_UP
from hashlib import sha256
from pathlib import Path
from random import Random

import msgspec

from stormdesk.testnet.venue import errors, events
from stormdesk.testnet.venue.accounts import Accounts
from stormdesk.testnet.venue.breakpoints import Breakpoint, Breakpoints
from stormdesk.testnet.venue.errors import ApiError, ThrottledError
from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.faults.active_faults import ActiveFaults
from stormdesk.testnet.venue.faults.model import Asked, Refuse
from stormdesk.testnet.venue.faults.venue_acts import perform
from stormdesk.testnet.venue.house import House
from stormdesk.testnet.venue.journal import Journal
from stormdesk.testnet.venue.keys import Config, Keys
from stormdesk.testnet.venue.limits import Limits
from stormdesk.testnet.venue.market import ZERO, Symbol, plain
from stormdesk.testnet.venue.record import HOUSE, NewOrder, Order
from stormdesk.testnet.venue.streams import Hub
from stormdesk.testnet.venue.users import Users

HOUSE_FUNDS = "1000000000"
HOUSE_TICKS = 2  # ticks between two steps of the house


class Desk:
    """The whole venue. Creating one replays the journal and opens the market."""

    def __init__(self, config: Config) -> None:
        symbols = {name: Symbol.parse(name) for name in config.symbols}
        self.journal = Journal(Path(config.data_dir) / "journal.jsonl")
        lines, self.journal.lines = self.journal.lines, []
        # House quotes are not in the journal, so ids continue from the clock: none is ever used twice.
        clock = time.time_ns() // 1000
        self.exchange = Exchange(symbols, Accounts(opening(lines, config, symbols)), first_update_id=clock)
        self.exchange.replay(lines)
        self.exchange.next_order_id = max(self.exchange.next_order_id, clock)
        self.rules = config.limits
        self.limits = Limits(config.limits)
        self.keys = Keys(config.accounts)
        self.faults = ActiveFaults()
        self.breakpoints = Breakpoints(self._note_breakpoint)
        self._ahead_s = time.time() - time.monotonic()  # read once, so that an instant told to a client stays the same
        self.users = Users(config.limits.listen_key_s, self.faults)
        self.hub = Hub(self.exchange, self.users, config.limits, self.faults, self.breakpoints)
        self.bad_input: Counter[str] = Counter()  # what clients sent that was no request
        self.rejects: Counter[int] = Counter()  # by error code
        self.throttled: Counter[int] = Counter()  # by HTTP status
        self._ticks = 0
        self._houses = [House(symbol, Random(f"{config.seed}/{name}")) for name, symbol in symbols.items()]
        totals = self.exchange.accounts.totals()
        accounts = {name: {asset: plain(amount) for asset, amount in held.items()} for name, held in totals.items()}
        digest = sha256(msgspec.json.encode(config)).hexdigest()
        rules = {name: {"tick": plain(symbol.tick)} for name, symbol in symbols.items()}
        self.journal.append([events.Open(t=time.time(), accounts=accounts, config_hash=digest, rules=rules)])
        self.tick()

    def now(self) -> float:
        """What the venue's clock says to clients, in seconds since 1970. The journal's `t` is the host's clock."""
        return time.time() + self.faults.offset_s(time.monotonic())

    def commit(self) -> Breakpoint | None:
        """Write the engine's events to the journal, then publish them. Returns the breakpoint that they reached: the answer waits."""
        happenings = self.exchange.take()
        self.journal.append([happening.event for happening in happenings])
        reached = self.breakpoints.passed(happenings) if self.breakpoints.active else None
        self.hub.publish(happenings)
        return reached

    def _note_breakpoint(self, one: Breakpoint) -> None:
        self.note(events.Mark(t=time.time(), what="breakpoint", detail=one.describe()))

    def note(self, event: events.Line) -> None:
        """Write a line to the journal that changes no state."""
        if isinstance(event, events.Rejected):
            self.rejects[event.code] += 1
        elif isinstance(event, events.Throttled):
            self.throttled[event.status] += 1
        self.journal.append([event])

    def submit(self, account: str, new: NewOrder) -> Order:
        """Submit an order to the engine; a fault may let only a part of it trade. Raises ApiError."""
        new = self.exchange.sized(account, new)
        limited = self.faults.most(new.qty, time.monotonic())
        if limited is None:
            return self.exchange.submit(account, new, time.time())
        most, fault = limited
        order = self.exchange.submit(account, new, time.time(), most=most.quantize(new.symbol.step, ROUND_UP))
        fault.hits += order.status == "EXPIRED" and ZERO < order.executed < order.qty
        return order

    def refuse(self, asked: Asked) -> None:
        """Raise ApiError when a fault refuses a request."""
        refusal, now = self.faults.refusal(asked, time.monotonic()), time.time()
        if isinstance(refusal, Refuse):
            raise ApiError(refusal.status, refusal.code, refusal.msg)
        if refusal is not None:
            until = refusal.until + self._ahead_s
            msg = errors.banned(until) if refusal.status == 418 else errors.TOO_EARLY_AGAIN
            raise ThrottledError(refusal.status, msg, now, until, early=refusal.early)

    def turn(self) -> None:
        """Apply the pending acts of faults, and lift breakpoints whose time is over."""
        self.breakpoints.turn(time.monotonic())
        for active, act in self.faults.turn(time.monotonic()):
            active.hits += perform(self, active, act)

    def tick(self) -> None:
        """Let the house requote at every second call, and publish the changes; a frozen venue does neither."""
        self.turn()
        if self.faults.frozen(time.monotonic()):
            return
        now = time.time()
        self._ticks += 1
        if self._ticks % HOUSE_TICKS == 1:
            for house in self._houses:
                house.step(self.exchange, now)
            self.commit()
        self.hub.tick(now)


def opening(lines: Sequence[events.Line], config: Config, symbols: Mapping[str, Symbol]) -> dict[str, dict[str, str]]:
    """The initial balances: those of the journal's first line, and the configured ones of new accounts."""
    assets = {asset: HOUSE_FUNDS for symbol in symbols.values() for asset in (symbol.base, symbol.quote)}
    fresh = {HOUSE: assets} | {account.name: dict(account.balances) for account in config.accounts}
    first = lines[0].accounts if lines and isinstance(lines[0], events.Open) else {}
    return fresh | first
