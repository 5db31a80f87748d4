"""A plan: all that will happen on one host, fixed before anything happens. Pure data; what a run must know of its fault is here.

`Plan(id, timing, change, control, proof, effects)`: what it is, how long it takes, what it does and how that is undone, whether
it cuts our own connection, how we know that it is in, and what the stack on the hosts is expected to do meanwhile.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from stormdesk.core.errors import UsageError
from stormdesk.core.model import Argv

MAX_TTL_S = 30 * 60.0
MAX_CONTROL_CUT_TTL_S = 5 * 60.0
TTL_MARGIN_S = 15.0  # default: hold + this
MIN_TTL_MARGIN_S = 5.0
INJECT_BUDGET_S = 15.0


@dataclass(frozen=True)
class Step:
    """One change and its way back. `undo` is absolute and idempotent: it names the end state, valid from any state."""

    do: Argv
    undo: tuple[Argv, ...]


@dataclass(frozen=True)
class PeerWitness:
    """Evidence from another host on the same network. `kind` names the entry of stormdesk/witness/ that reads what `argv`
    prints on `host`, before the fault and during it; `expected` is what it should measure then, in that entry's unit.
    """

    host: str
    argv: Argv
    kind: str
    expected: float = 0.0


@dataclass(frozen=True)
class PlanId:
    """Which fault, in which run, on which host. `target` is which machine of which environment that host is; not the
    fault's to say: run/prepare.py adds it."""

    fault: str
    run_id: str
    host: str
    target: str = ""


@dataclass(frozen=True)
class Timing:
    """Seconds. `ttl_s` after it was armed the host's watchdog reverts by itself; `inject_budget_s` is how long arming,
    injecting and witnessing may take; `undo_wait_s` is how long the undo may have to wait for somebody else before it acts."""

    hold_s: float
    ttl_s: float
    inject_budget_s: float = INJECT_BUDGET_S
    undo_wait_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to the host.

    `mechanism` is the one that was chosen, `rejected` are (name, why not) of those that come before it. `resources` are locked
    on the host; `rechecks` are (command, output) pairs that must still be true when it is armed; `touches` are the kinds of
    facts (stormdesk/host/picture/) that it changes while it is in; `files` are compared besides the standard ones (`mode FILE`:
    all but its content), and `services`, each `<manager> <name>`: all those of the host, run/prepare.py adds them; how much of the
    file systems at `spaces` others used or freed meanwhile is noted, and no verdict; `persistent` faults survive a reboot and get a
    durable record.
    """

    mechanism: str
    rejected: tuple[tuple[str, str], ...] = ()
    says: str
    reverts_what: str
    steps: tuple[Step, ...]
    resources: Argv
    rechecks: tuple[tuple[Argv, str], ...] = ()
    touches: Argv = ()
    files: Argv = ()
    services: Argv = ()
    spaces: Argv = ()
    persistent: bool = False
    irreversible: bool = False


@dataclass(frozen=True)
class Control:
    """`cuts`: the fault loses our own connection, so the host's watchdog is the planned reverter. `peer` is who can see the
    host meanwhile, from the other side of the network that is cut; `no_peer` is why nobody can who should."""

    cuts: bool = False
    peer: PeerWitness | None = None
    no_peer: str = ""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How we know that the fault is in. `baseline` must succeed on the host right before the inject, or the witness would
    prove nothing; `witness` must succeed there right after it; `peers` measure the same from other hosts. `still` says later
    whether it is in still, at once: 0 for yes, 1 for no, anything else where that cannot be told. By default the witness.
    """

    baseline: Argv = ()
    witness: Argv
    still: Argv = ()
    peers: tuple[PeerWitness, ...] = ()


@dataclass(frozen=True)
class Effects:
    """What the fault does to the stack on its hosts. `restarts`: services that it makes restart, at least, at most so often;
    `refuses_orders`: a trader on the host must refuse orders meanwhile; `rto_from` is when the recovery clock starts: "lift"
    for outages, "inject" for kills; `reboots`: the host itself restarts, and its boot hook is the planned reverter."""

    restarts: tuple[tuple[str, int, int], ...] = ()
    refuses_orders: bool = False
    rto_from: str = "lift"
    reboots: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that will happen on one host."""

    id: PlanId
    timing: Timing
    change: Change
    control: Control = Control()
    proof: Proof
    effects: Effects = Effects()

    @property
    def peers(self) -> tuple[PeerWitness, ...]:
        """All witnesses on other hosts."""
        return (*((self.control.peer,) if self.control.peer else ()), *self.proof.peers)

    def hash(self) -> str:
        """12 hex digits that stay the same as long as the plan does; the run id is left out."""
        text = msgspec.json.encode(self, order="deterministic").replace(self.id.run_id.encode(), b"RUN")
        return hashlib.sha256(text).hexdigest()[:12]


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
