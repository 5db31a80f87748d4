"""The request for a run, and its plan in words before anything is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from stormdesk.core import shell
from stormdesk.core.anchors import WITHIN_S, Event
from stormdesk.core.conditions import Condition
from stormdesk.core.fault import Fault
from stormdesk.core.goals import Goal
from stormdesk.core.inventory import InventoryHost
from stormdesk.core.plan import Plan
from stormdesk.core.safety import Allow
from stormdesk.core.schedule import Act, Inject, Note, Op, Pause, Schedule, Wait
from stormdesk.run.show import Show

DEFAULT_RTO_S = 30.0


@dataclass(frozen=True)
class Request:
    """What was asked for. Hosts are words of `--host`, resolved when the run is planned (run/aim.py); `seed` decides their choices,
    and is kept in the record."""

    schedule: Schedule
    plan_only: bool = False
    plan_hash: str = ""
    confirm: bool = False  # ask before each lane
    allow: Allow = field(default_factory=Allow)
    seed: int = 0
    rto_s: float = DEFAULT_RTO_S
    argv: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()  # that must be among the results; empty: whatever applies
    violated: tuple[str, ...] = ()  # those of them that the scenario must violate
    situations: tuple[str, ...] = ()  # that it must have been in; else its verdict is unknown
    runbook: Mapping[str, str] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    stop_when: tuple[Condition, ...] = ()

    @property
    def fault(self) -> str:
        """The names of its faults."""
        return " + ".join(dict.fromkeys(inject(op).fault.name for op in self.schedule.injects))

    @property
    def hold_s(self) -> float:
        """How long its faults take, from the start of the schedule on; of one fault, its hold."""
        windows = self.schedule.windows()
        return max(windows[op.id][1] for op in self.schedule.injects)


def inject(op: Op) -> Inject:
    """What an operation injects, of one that does."""
    assert isinstance(op.do, Inject)
    return op.do


def one(
    fault: Fault,
    hosts: tuple[str, ...],
    hold_s: float,
    ttl_s: float | None = None,
    *,
    event: Event | None = None,
    within_s: float = WITHIN_S,
) -> Schedule:
    """The schedule of one fault; `ttl_s` None means hold + 15 s. With `event` the inject waits for that."""
    return Schedule((Op(fault.name, "main", Inject(fault, hosts, hold_s, ttl_s, event=event, within_s=within_s)),))


def plan_digest(plans: Sequence[Plan], events: Sequence[Event] = ()) -> str:
    """12 hex digits for the plans of all hosts, in their order: the first host's clock is the run's; and for what they wait for."""
    text = " ".join([*(plan.hash() for plan in plans), *events])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parameters(fault: Fault) -> dict[str, str]:
    """The fault's parameters as one would type them; those that were not given are left out."""
    values = {entry.name: getattr(fault, entry.name) for entry in fields(fault)}  # type: ignore[arg-type]
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def told(op: Op) -> dict[str, Any]:
    """An operation as the record has it."""
    begins = [{"op": at.op, "edge": at.edge, "plus_s": at.plus_s} for at in op.after]
    return {"id": op.id, "lane": op.lane, "after": begins, **_does(op)}


def _does(op: Op) -> dict[str, Any]:
    match op.do:
        case Inject() as do:
            return {
                "fault": do.fault.name,
                "params": parameters(do.fault),
                "host": ",".join(do.hosts),
                "hold_s": do.hold_s,
                **({"event": do.event} if do.event else {}),
            }
        case Act() as act:
            return {"act": act.task, "options": dict(act.options)}
        case Wait() as wait:
            return {"wait_s": wait.s}
        case Pause() as pause:
            return {"pause": pause.question, "timeout_s": pause.timeout_s}
        case Note() as note:
            return {"note": note.text}


def detail(request: Request) -> str:
    """The parameters of its fault, or how many steps it has in how many lanes."""
    if len(request.schedule.ops) > 1:
        lanes = len({op.lane for op in request.schedule})
        return f"{len(request.schedule.ops)} steps in {lanes} lane{'s' if lanes > 1 else ''}"
    (op,) = request.schedule.injects
    return " ".join(f"{name} {value}" for name, value in parameters(inject(op).fault).items())


def show_plan(
    show: Show, run_id: str, request: Request, hosts: Sequence[InventoryHost], plans: Sequence[Plan], took_s: float
) -> None:
    """The run in words, before anything is touched."""
    show.header(
        run_id, request.fault, [f"{host.name} ({host.target})" for host in hosts], detail(request), request.hold_s
    )
    if len(request.schedule.ops) > 1:
        windows = request.schedule.windows()
        for op in request.schedule:
            begin, end = windows[op.id]
            show.phase("step", f"{op.lane}: {op.id} from {begin:g} s to {end:g} s")
    for plan in plans:
        for name, why in plan.change.rejected:
            show.phase("plan", f"{plan.id.host}: not by {name}: {why}")
        show.phase("plan", f"{plan.change.says} · undo: {plan.change.reverts_what}", took_s)
    for op in request.schedule.injects:
        if event := inject(op).event:
            show.phase("plan", f"at {event}, which is held until the fault is in")
    by = "the host's watchdog reverts it" if plans[0].control.cuts else "dead-man timer on the host fires"
    show.phase("guard", f"{by} {plans[0].timing.ttl_s:.0f} s after arming, even if this terminal dies", ok=True)


def show_commands(show: Show, plans: Sequence[Plan], plan_hash: str) -> None:
    """`--plan`: the exact commands, hosts and undo."""
    for plan in plans:
        for step in plan.change.steps:
            show.say(f"{plan.id.host}  do    {shell.words(step.do)}")
            for undo in step.undo:
                show.say(f"{plan.id.host}  undo  {shell.words(undo)}")
        if plan.proof.baseline:
            show.say(f"{plan.id.host}  before {shell.words(plan.proof.baseline)}")
        show.say(f"{plan.id.host}  proof {shell.words(plan.proof.witness)}")
    show.say("sd_* are functions of stormdesk/host/{core,verbs}; everything runs as root in one script per host")
    show.say(f"plan hash {plan_hash}   (--plan-hash {plan_hash} refuses anything else). Nothing was changed.")
