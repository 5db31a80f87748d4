"""The lines and documents of a cut, one struct for each kind; docs/formats/cut.md and the pages it names describe them. Pure.

Amounts stay decimal strings until a judge adds them up. Keys that are not named here are left alone.
"""

from __future__ import annotations

import base64

import msgspec

# -- meta.json ---------------------------------------------------------------------------------------------------------


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """When new intents were held, and when trading was resumed."""

    started: float
    ended: float


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """The recovery clock: when it started, when the stack was steady again (None: never seen), and its budget."""

    start: float = msgspec.field(name="from")
    recovered_at: float | None
    rto_s: float


class FaultWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Which fault was in, where, and from when to when; `refusals`: it must have made the trader there refuse orders."""

    name: str
    host: str
    injected_t: float
    lift_t: float
    refusals: bool = True


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A service's process: `start_ticks` is field 22 of its stat, so pid and start together name one process for ever.
    `spawns` is how often its manager has started it, as its log says; None where there is no such log."""

    pid: int
    start_ticks: int
    spawns: int | None = None


Processes = dict[str, dict[str, Process]]  # by host and service


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """The processes before the fault, and which services on which host it makes restart: at least and at most so often."""

    processes: Processes
    restarts: dict[str, dict[str, tuple[int, int]]] = {}


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How a client of the desk pauses between tries of a connection: base, base x factor, ... up to the cap, in seconds; up to the
    jitter's share of each may be left out. The defaults are those of testnet/resilience.yaml."""

    base_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 10.0
    jitter: float = 0.2


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the operators' log: `phase` is ordered, done or refused; lines of one order share `id`."""

    id: str
    t: float
    task: str
    by: str
    phase: str
    options: dict[str, object] = {}
    exit_code: int | None = None


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What the cut is of. `drain_s` is None when orders were still in flight at its deadline; `left` says which.

    `asked` names what was asked for besides the sources that every cut has; a judge that needs one of those others is
    left out when it was not asked for. `grace_s` is how long an order that was on its way may still arrive. `retry` and `verify_s`
    (until a kill switch has emptied the book) are as the traders are configured; `retry` is None where that could not be read.
    """

    t: float
    environment: str
    hosts: tuple[str, ...]
    traders: tuple[str, ...]
    drain_s: float | None
    left: dict[str, dict[str, int]] = {}
    hold: Hold
    one_clock: bool = False
    recovery: Recovery | None = None
    fault: FaultWindow | None = None
    asked: tuple[str, ...] = ()
    grace_s: float = 5.0
    retry: Retry | None = Retry()
    verify_s: float = 10.0
    processes_before: Before | None = None

    @property
    def refusing(self) -> bool:
        """Whether the fault must have made a trader refuse orders."""
        fault = self.fault
        return fault is not None and fault.refusals and fault.host in self.traders


# -- ledger, PostgreSQL, residue ---------------------------------------------------------------------------------------


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a trader's ledger. Its hashes are judged on the raw bytes. The terms of an order stand in its INTENT."""

    seq: int
    t: float
    kind: str
    client_order_id: str = ""
    signal: str = ""
    symbol: str = ""
    side: str = ""
    type: str = ""
    price: str = "0"
    qty: str = "0"
    order_id: int | None = None
    trade_id: int | None = None
    fee: str = "0"
    fee_asset: str = ""
    state: str = ""
    reason: str = ""
    gate: str = ""
    on: bool = False


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A bad line of a ledger, put aside: where it starts in the file, and its bytes in base64."""

    offset: int
    raw: str

    @property
    def data(self) -> bytes:
        """The bytes; nothing when they cannot be read."""
        try:
            return base64.b64decode(self.raw, validate=True)
        except ValueError:
            return b""


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    client_order_id: str
    signal: str | None = None
    instance: str | None = None
    epoch: int | None = None
    state: str
    reason: str | None = None
    created_t: float


class EpochRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fencing token, and whom it was granted to."""

    epoch: int
    instance: str
    granted_t: float


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: int
    client_order_id: str
    symbol: str
    side: str
    price: str
    qty: str
    quote_qty: str
    fee: str
    fee_asset: str


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    asset: str
    opening: str
    position: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    free: str
    locked: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A range of trade ids or update ids that a feeder has, and how it came: stream, backfill or snapshot."""

    t: float = 0.0
    what: str
    first: int
    last: int
    how: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """All levels of a book as of one update, best first: (price, quantity)."""

    update_id: int = msgspec.field(name="lastUpdateId")
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    synced: bool = True


class BusMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it lies on the bus, without its data: (`run`, `n`) is the order of its key."""

    id: str
    key: str
    run: int
    n: int


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of the bus says; `lag` is the least that was seen of it in some seconds."""

    messages: int
    lag: int
    out_of_order: int
    malformed: int = 0


class StateFile(msgspec.Struct, frozen=True, kw_only=True):
    """A state file as it lay on the disk; `mtime` in seconds since 1970."""

    mtime: float
    content: str


class Residue(msgspec.Struct, frozen=True, kw_only=True):
    """What a host still has of ours, how it differs from before, and which other runs are in there right now. `marks` are what
    a fault could have left, but was there before the run, or may be anybody's."""

    clean: bool
    ours: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


Balances = dict[str, dict[str, Balance]]
