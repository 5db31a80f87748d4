"""The events of a run record, one struct for each; docs/formats/schemas/events.json is generated from them. Pure.

Writers pass the values to `Record.event` by name. A real record that has an event or a key that is not here fails a test.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stormdesk.core.event_parts import Check, Controller, Goal, Target


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="event"):
    """The keys of every line. `t` is seconds since 1970; `sum` is the line's checksum (core/journal.py)."""

    seq: int
    t: float
    run: str
    sum: str


class HostLine(Line, frozen=True, kw_only=True):
    """An event of one host. `op`: of which operation, in a run of several faults."""

    host: str
    op: str = ""


class RunStarted(Line, frozen=True, kw_only=True, tag="run.started"):
    """What was asked for. `params` are as one would type them; `runbook` is empty outside a game day."""

    argv: list[str]
    fault: str
    params: dict[str, str]
    environment: str
    hosts: list[str]
    targets: list[Target] = []
    hold_s: float
    ttl_s: float
    rto_s: float
    runbook: dict[str, str]
    seed: int
    plan_hash: str
    controller: Controller
    version: str
    ops: list[dict[str, Any]] = []  # of a run of several operations: id, lane, after, and what each does


class Act(Line, frozen=True, kw_only=True, tag="act"):
    """An operator's task of the schedule begins."""

    op: str
    task: str
    options: dict[str, str]


class Acted(Line, frozen=True, kw_only=True, tag="acted"):
    """It has been done; `said` is what came of it."""

    op: str
    task: str
    said: str
    took_s: float


class Steady(Line, frozen=True, kw_only=True, tag="steady"):
    """The steady state, before the fault or after."""

    when: str
    checks: list[Check]


class Marks(Line, frozen=True, kw_only=True, tag="marks"):
    """What looked like a fault's on each host before there was one: the baseline of I-13."""

    hosts: dict[str, list[str]]


class Intent(HostLine, frozen=True, kw_only=True, tag="S1.intent"):
    """On the disk before the host hears of the run."""

    plan_hash: str
    ttl_s: float


class Armed(HostLine, frozen=True, kw_only=True, tag="S2.armed"):
    """`deadline_uptime` is seconds since the host's boot; `oom` says whether its OOM killer spares the watchdogs."""

    host_t: float = 0.0
    deadline_uptime: float
    oom: str


class Acknowledged(HostLine, frozen=True, kw_only=True, tag="S3.acknowledged"):
    """Both watchdogs run: their `<pid>.<start time>`."""

    host_t: float = 0.0
    watchdogs: tuple[str, str]


class Injected(HostLine, frozen=True, kw_only=True, tag="S4.injected"):
    """`injected_t` is when the inject began."""

    host_t: float = 0.0
    mechanism: str
    injected_t: float


class Spread(Line, frozen=True, kw_only=True, tag="S4.spread"):
    """How far apart the injects on several hosts were, and how precisely that is known."""

    op: str = ""
    hosts: int
    spread_ms: int
    uncertain_ms: int


class Confirmed(HostLine, frozen=True, kw_only=True, tag="S5.confirmed"):
    """The evidence that the fault has an effect, as the host gave it."""

    host_t: float = 0.0
    witness: str


class ControlOpen(HostLine, frozen=True, kw_only=True, tag="control.open"):
    """With the fault in, the host's sshd answered a new connection."""

    took_ms: int


class ControlLost(HostLine, frozen=True, kw_only=True, tag="control.lost"):
    """With the fault in, no new connection got through: the run ends the fault."""

    why: str


class NoWitness(Line, frozen=True, kw_only=True, tag="witness.none"):
    """No peer can see the effect on `target`."""

    op: str = ""
    target: str
    why: str


class PeerBaseline(HostLine, frozen=True, kw_only=True, tag="witness.baseline"):
    """What peer `host` measured of `target` before the fault, in the witness's own unit; null: it could not."""

    target: str
    argv: list[str]
    measured: float | None


class PeerWitness(HostLine, frozen=True, kw_only=True, tag="witness.peer"):
    """What peer `host` saw of `target`: `agrees`, or `why` when it could not tell.

    `measured` is in the witness's own unit, `before` the same before the fault.
    """

    target: str
    argv: list[str]
    code: int | None
    measured: float | msgspec.UnsetType = msgspec.UNSET
    before: float | msgspec.UnsetType | None = msgspec.UNSET
    agrees: bool | msgspec.UnsetType = msgspec.UNSET
    why: str | msgspec.UnsetType = msgspec.UNSET


class BreakpointSet(HostLine, frozen=True, kw_only=True, tag="breakpoint.set"):
    """From now on `host` holds the event `at`; the run waits for it for `within_s`."""

    at: str
    within_s: float
    how: str


class BreakpointCome(HostLine, frozen=True, kw_only=True, tag="breakpoint.come"):
    """The event has come, `waited_s` after it was set, and is held."""

    at: str
    waited_s: float
    evidence: str


class BreakpointOver(HostLine, frozen=True, kw_only=True, tag="breakpoint.over"):
    """The event goes on, `held_s` after it came. `held`: the fault was in, acknowledged, while it was held."""

    at: str
    held: bool
    held_s: float
    evidence: str


class Hold(HostLine, frozen=True, kw_only=True, tag="S6.hold"):
    """The hold begins."""

    hold_s: float


class Revert(HostLine, frozen=True, kw_only=True, tag="S7.revert"):
    """The revert was asked for, or waited for: by `controller`, `watchdog` or an operator's command."""

    by: str


class Unguarded(HostLine, frozen=True, kw_only=True, tag="S6.unguarded"):
    """A look in the hold found no watchdog alive; `since_s` is in seconds after the inject. The hold ends there."""

    since_s: float


class Verified(HostLine, frozen=True, kw_only=True, tag="S8.verified"):
    """What changed on the host, each line `- fact` or `+ fact`: `ours` is the fault's, `side_effects` come with it, `others` are
    everybody else's, `back` is what was put back or taken away again, and `diff` what should have been. `hits`: how often a fault
    inside a service struck."""

    clean: bool
    diff: list[str]
    ours: list[str] = []
    side_effects: list[str] = []
    others: list[str] = []
    back: list[str] = []
    reverted_by: str
    lateness_ms: int
    lifted_t: float | msgspec.UnsetType = msgspec.UNSET
    hits: int | msgspec.UnsetType = msgspec.UNSET


class Cleared(HostLine, frozen=True, kw_only=True, tag="S9.cleared"):
    """Nothing of the run is left on the host."""

    reverted_by: str
    lateness_ms: int


class Sample(Line, frozen=True, kw_only=True, tag="sample"):
    """The stack at one instant: numbers by name, health documents by host. `phase`: steady, hold, recover."""

    phase: str
    metrics: dict[str, float | None] | None
    health: dict[str, Any]


class Recovered(Line, frozen=True, kw_only=True, tag="recovered"):
    """`took_s` is null when the stack was not steady again in time; `from` is when the clock started."""

    took_s: float | None
    budget_s: float
    start: float = msgspec.field(name="from")
    why: str


class Expectations(Line, frozen=True, kw_only=True, tag="expectations"):
    """The expectations of the runbook, judged; `goals` are the times that it demands, with what was measured."""

    checks: list[Check]
    goals: list[Goal] = []


class Cut(Line, frozen=True, kw_only=True, tag="cut"):
    """Where the cut is: below the run directory, else an absolute path."""

    path: str


class Checks(Line, frozen=True, kw_only=True, tag="checks"):
    """Invariants and residue, judged on the cut."""

    checks: list[Check]


class Situations(Line, frozen=True, kw_only=True, tag="situations"):
    """The situations that the run was in (docs/situations.md), each with its evidence; `of` is how many were looked for."""

    reached: dict[str, str]
    of: int


class Note(Line, frozen=True, kw_only=True, tag="note"):
    """A person's remark, by `gameday.note`, or what a step of the runbook says."""

    op: str = ""
    text: str
    who: str


class Verdict(Line, frozen=True, kw_only=True, tag="verdict"):
    """How the run ended."""

    verdict: Literal["held", "violated", "unknown"]
    residue: Literal["clean", "dirty"]
    exit_code: int
    why: str


Event = (RunStarted | Act | Acted | Steady | Marks | Intent | Armed | Acknowledged | Injected | Spread | Confirmed
    | ControlOpen | ControlLost | NoWitness | PeerBaseline | PeerWitness | Hold | Unguarded | Revert | Verified
    | Cleared | Sample | Recovered | Expectations | Cut | Checks | Situations | Note | Verdict | BreakpointSet
    | BreakpointCome | BreakpointOver)  # fmt: skip
