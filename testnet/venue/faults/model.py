"""The model of a venue fault: parameters with a help text, and a decision at each hook. Pure.

A fault never acts. At a hook it answers with an act (for one request or message) or with acts of the venue as a
whole; `rest_acts.py` and `venue_acts.py` carry them out. Its randomness is the seeded one of its `Active`, its clock an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, ClassVar

import msgspec

from stormdesk.core.values import Percent
from stormdesk.testnet.venue.faults.parameter_types import Scope

if sys.version_info >= (3, 12):
    from typing import override as override  # noqa: PLC0414 -- ours import it from here
else:
    from typing_extensions import override as override  # noqa: PLC0414 -- ours import it from here

Document = dict[str, Any]
ORDER_PATHS = frozenset({"order", "openOrders", "order/cancelReplace"})


# -- what a fault sees -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A REST request: `path` is what follows /api/v3/; `account` is whose key it carries, "" for none; `symbol` too."""

    method: str
    path: str
    account: str
    remote: str
    symbol: str = ""

    @property
    def places(self) -> bool:
        return self.method == "POST" and self.path == "order"

    @property
    def changes(self) -> bool:
        """Whether it places or cancels orders."""
        return self.method in ("POST", "DELETE") and self.path in ORDER_PATHS

    def within(self, scope: Scope) -> bool:
        match scope:
            case "orders":
                return self.changes
            case "account":
                return self.path == "account"
            case "signed":
                return bool(self.account)
            case _:
                return True


@dataclass(eq=False)
class Active:
    """An active fault: its seeded randomness, its memory, its hits. Instants are monotonic seconds."""

    id: str
    fault: Fault
    seed: int
    for_s: float
    until: float
    hits: int = 0
    on: bool = True
    memory: dict[Any, Any] = field(default_factory=dict)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def chance(self, share: Percent) -> bool:
        """The next decision: yes with that probability."""
        return self.random.random() * 100 < share


# -- what a fault may want of one request or answer --------------------------------------------------------------


class Refuse(msgspec.Struct, frozen=True):
    """Answer with this error instead."""

    status: int
    code: int
    msg: str


class Throttle(msgspec.Struct, frozen=True):
    """Answer with 429 or 418: come again at `until` (monotonic). `early`: it had been told so already."""

    status: int
    until: float
    early: bool


class Late(msgspec.Struct, frozen=True):
    """Answer that much later."""

    seconds: float


class Silence(msgspec.Struct, frozen=True):
    """Never answer; once the fault is over the connection ends."""


class Break(msgspec.Struct, frozen=True):
    """Send that part of the body, then reset the connection."""

    percent: float


class Say(msgspec.Struct, frozen=True):
    """Answer with this document instead."""

    document: Any


Refusal = Refuse | Throttle
Act = Refuse | Late | Silence | Break | Say


# -- what a fault may want of the venue --------------------------------------------------------------------------


class Announce(msgspec.Struct, frozen=True):
    """Write to the journal that the fault began or ended."""

    on: bool


class Broadcast(msgspec.Struct, frozen=True):
    """Send it to all subscribers of user streams."""

    document: Document


class Tell(msgspec.Struct, frozen=True):
    """Send it to the subscribers of one account's user stream."""

    account: str
    document: Document


class EndUserStreams(msgspec.Struct, frozen=True):
    """End the user streams of the WebSocket API, with a message to each."""


class LoseUserStreams(msgspec.Struct, frozen=True):
    """Drop all subscribers of user streams silently."""


class ExpireListenKeys(msgspec.Struct, frozen=True):
    """End every legacy listen key."""


class UndoTrades(msgspec.Struct, frozen=True):
    """Roll back the trades of the last seconds."""

    last_s: float


class PlaceOrder(msgspec.Struct, frozen=True):
    """A market order of the first account that none of our clients sent, for that amount of the quote asset."""

    side: str
    worth: int


VenueAct = Announce | Broadcast | Tell | EndUserStreams | LoseUserStreams | ExpireListenKeys | UndoTrades | PlaceOrder


class Fault:
    """A fault of the venue. Subclasses are frozen dataclasses whose fields are the parameters; they override the hooks that they
    need. A hook that returns None changes nothing and is no hit."""

    name: ClassVar[str]
    title: ClassVar[str]  # verb first, for the menu
    freezes: ClassVar[bool] = False  # does the engine stand still?

    def holds(self) -> bool:
        """Do requests wait until the fault is over?"""
        return False

    def refuses_streams(self) -> bool:
        """Is a new connection to the WebSocket API refused?"""
        return False

    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        """Before the venue judges a request; returns a refusal or None."""

    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        """The venue has executed the request and is about to answer."""

    def most(self, qty: Decimal, active: Active) -> Decimal | None:
        """How much of a new order may trade at once; the rest of what would trade expires."""

    def market(self, stream: str, document: Document, active: Active) -> Sequence[Document] | None:
        """What is sent on a market stream instead of this message."""

    def user(self, account: str, document: Document, active: Active) -> Sequence[Document] | None:
        """What is sent on an account's user stream instead of this event."""

    def greeting(self) -> Document | None:
        """The first message to a new subscriber of a user stream."""

    def offset_s(self) -> float:
        """By how much the clock that clients see is ahead."""
        return 0.0

    def begin(self, active: Active) -> Sequence[VenueAct]:
        """The fault begins."""
        return ()

    def tick(self, active: Active, now: float) -> Sequence[VenueAct]:
        """Some time passed."""
        return ()

    def end(self, active: Active) -> Sequence[VenueAct]:
        """The fault is over."""
        return ()
