"""The values that travel through Stormdesk: facts in, a plan out, verdicts at the end. Pure.

A fault is a frozen dataclass whose fields are its parameters (units in their names). It answers two questions:
`probes()`, what it must know of the host, and `plan()`, what it would do. It never acts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

import msgspec

from stormdesk.core.clocks import UNMEASURED, Ahead
from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import Inventory, InventoryHost

Argv = tuple[str, ...]

MAX_TTL_S = 30 * 60.0
MAX_CONTROL_CUT_TTL_S = 5 * 60.0
TTL_MARGIN_S = 15.0  # default: hold + this
MIN_TTL_MARGIN_S = 5.0


class Verdict(StrEnum):
    """What a check or a run says. Silence is `unknown`, never a pass."""

    HELD = "held"
    UNKNOWN = "unknown"
    VIOLATED = "violated"

    @staticmethod
    def worst(*verdicts: Verdict) -> Verdict:
        """The most serious; with none at all nothing is known."""
        for verdict in (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.HELD):
            if verdict in verdicts:
                return verdict
        return Verdict.UNKNOWN


@dataclass(frozen=True)
class Completed:
    """What a command on a host answered."""

    argv: Argv
    code: int
    stdout: str
    stderr: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Identity:
    """Which kernel and which pid namespace a host is; equal to the controller's means: it is the controller's own host."""

    boot_id: str
    pid_namespace: str


UNKNOWN_MACHINE = Identity("", "")


@dataclass(frozen=True)
class HostFacts:
    """What one round trip of reading found. `answers` holds one Completed per probe the fault asked for."""

    host: str
    identity: Identity
    uid: int
    marker: Mapping[str, object] | None
    marker_text: str
    production: bool
    halted: bool
    boot_hook: bool
    tools: frozenset[str]
    active: int  # runs that are in on this host right now
    answers: Mapping[str, Completed] = field(default_factory=dict)
    control: str = ""  # the host's own address that our connection came in at, "" where it is not known
    ahead: Ahead = UNMEASURED  # the host's time since boot, compared with the controller's monotonic clock


@dataclass(frozen=True)
class Site:
    """Where and for how long: everything a fault may know besides the host's facts. `chosen` are all hosts of the run."""

    run_id: str
    host: InventoryHost
    inventory: Inventory
    hold_s: float
    chosen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """One change and its way back. `undo` is absolute and idempotent: it names the end state, valid from any state."""

    do: Argv
    undo: tuple[Argv, ...]


@dataclass(frozen=True)
class PeerWitness:
    """Evidence from another host on the same network: `argv` is run on `host` and must end with `code`."""

    host: str
    argv: Argv
    code: int


@dataclass(frozen=True)
class Unsupported:
    """The fault cannot be done on this host; `reason` says why and what would help."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that will happen on one host, fixed before anything happens.

    `resources` are locked on the host; `rechecks` are (command, output) pairs that must still be true when it is armed;
    `files` are compared by content, `spaces` by free space, besides the standard fingerprint;
    `persistent` faults survive a reboot and get a durable record; `cuts_control` faults lose our own connection,
    so the host's watchdog is the planned reverter.
    """

    fault: str
    run_id: str
    host: str
    hold_s: float
    ttl_s: float
    mechanism: str
    says: str
    reverts_what: str
    resources: Argv
    steps: tuple[Step, ...]
    witness: Argv
    rechecks: tuple[tuple[Argv, str], ...] = ()
    touches: Argv = ()  # kinds of fingerprint lines that it changes while it is in
    files: Argv = ()
    spaces: Argv = ()
    persistent: bool = False
    cuts_control: bool = False
    irreversible: bool = False
    peer_witness: PeerWitness | None = None
    no_peer: str = ""  # why no peer can witness what one should
    heal_s: float = 0.0  # how long the undo may have to wait for somebody else before it acts
    restarts: tuple[tuple[str, int, int], ...] = ()  # services that it makes restart: at least, at most so often
    rto_from: str = "lift"  # when the recovery clock starts: "lift" for outages, "inject" for kills
    target: str = ""  # which machine of which environment `host` is; not the fault's: run/prepare.py says it

    def hash(self) -> str:
        """12 hex digits that stay the same as long as the plan does; the run id is left out."""
        text = msgspec.json.encode(self, order="deterministic").replace(self.run_id.encode(), b"RUN")
        return hashlib.sha256(text).hexdigest()[:12]


class Fault(Protocol):
    """One entry of the catalogue."""

    name: ClassVar[str]
    title: ClassVar[str]  # verb first, for the menu
    undo: ClassVar[str]  # how it is undone, for the catalogue
    needs: ClassVar[Argv]  # tools on the host
    may_cut_control: ClassVar[bool]  # could it take our own connection away?

    def probes(self, site: Site) -> Mapping[str, Argv]:
        """What must be read on the host before planning, by name."""

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        """The plan, or why there is none. `ttl_s` None means the default. Raises RefusedError or UsageError for bad targets."""


@dataclass(frozen=True)
class CheckResult:
    """What one check said. `why` is one line; `took_s` in seconds; `sources` counts what it read."""

    id: str
    verdict: Verdict
    why: str
    took_s: float = 0.0
    sources: Mapping[str, int] = field(default_factory=dict)


def ttl(hold_s: float, asked_s: float | None, *, cuts_control: bool) -> float:
    """Seconds until the host's watchdog reverts by itself. Raises UsageError for a deadline that is too short or too long."""
    if cuts_control:
        # The watchdog is the planned reverter: it ends the hold.
        wanted = hold_s if asked_s is None else asked_s
        limit, least = MAX_CONTROL_CUT_TTL_S, hold_s
    else:
        wanted = hold_s + TTL_MARGIN_S if asked_s is None else asked_s
        limit, least = MAX_TTL_S, hold_s + MIN_TTL_MARGIN_S
    if wanted < least:
        raise UsageError(f"--ttl {wanted:g}s: must be at least {least:g}s (hold {hold_s:g}s + {least - hold_s:g}s)")
    if wanted > limit:
        raise UsageError(f"--ttl {wanted:g}s: must be at most {limit:g}s; use a shorter --for")
    return float(wanted)  # one number, one text: the plan's hash must not depend on how it was written
