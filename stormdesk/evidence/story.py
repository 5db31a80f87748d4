"""What happened in a run, read from its events and its cut: the facts that a report shows. Pure.

What the record does not say stays None: a number that nobody measured is not 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stormdesk.core.journal import Event
from stormdesk.core.shell import words
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.judges import calls_for_refused, refused_ids
from stormdesk.evidence.signs import Sign, lag_peak, signs
from stormdesk.evidence.waiting import waited_for

STEPS = {
    "S1.intent": "intent recorded",
    "S2.armed": "watchdog armed",
    "S3.acknowledged": "watchdog acknowledged",
    "S4.injected": "fault injected",
    "S5.confirmed": "effect confirmed",
    "S6.hold": "hold",
    "S7.revert": "revert asked",
    "S8.verified": "revert verified",
    "S9.cleared": "host cleared",
}
JUDGED = {"steady": "steady state", "expectations": "expectations", "checks": "checks after the fault"}
BEGINS = ("S4.injected", "act", "note")
BEFORE_S = 12.0  # of trading that the timeline shows before the fault


@dataclass(frozen=True)
class Check:
    """One check as the record has it."""

    id: str
    verdict: str
    why: str
    took_s: float
    sources: Mapping[str, int]


@dataclass(frozen=True)
class HostStory:
    """What happened on one host, by one fault: that of operation `op`, where a run has several. `steps` are (name, instant);
    None: the record does not say."""

    host: str
    op: str
    steps: tuple[tuple[str, float], ...]
    mechanism: str
    witness: str
    injected_t: float | None
    lifted_t: float | None
    clean: bool | None
    diff: tuple[str, ...]
    ours: tuple[str, ...]
    back: tuple[str, ...]
    side_effects: tuple[str, ...]
    others: tuple[str, ...]
    reverted_by: str
    lateness_ms: int | None

    @property
    def label(self) -> str:
        """The host, and the operation where there are several."""
        return f"{self.op} on {self.host}" if self.op else self.host


@dataclass(frozen=True)
class Step:
    """One operation of a run of several, as people read it. `began_t` is None where it never began."""

    lane: str
    id: str
    does: str
    began_t: float | None


@dataclass(frozen=True)
class Story:
    """One run. `t0` is when the first fault was in (else when the run started); all instants are seconds since 1970."""

    run: str
    start: Event
    verdict: str
    residue: str
    exit_code: int | None
    why: str
    hosts: tuple[HostStory, ...]
    schedule: tuple[Step, ...]
    peers: tuple[str, ...]
    steady: Mapping[str, tuple[Check, ...]]
    checks: tuple[Check, ...]
    expectations: tuple[Check, ...]
    notes: tuple[Event, ...]
    samples: tuple[Event, ...]
    spread: Event
    recovered: Event
    started_t: float
    ended_t: float
    cut: Cut | None
    judged: tuple[
        tuple[float, str, tuple[Check, ...]], ...
    ] = ()  # when, what, and the checks that came to a verdict then
    acts: tuple[Event, ...] = ()
    unseen: tuple[str, ...] = ()  # hosts on which no peer could see the effect, and why
    situations: Mapping[str, str] | None = None  # those that it was in, with their evidence; None: nobody looked
    breakpoint: str = ""  # the event that the inject waited for, in words; "": it waited for none

    @cached_property
    def t0(self) -> float:
        return min((h.injected_t for h in self.hosts if h.injected_t is not None), default=self.started_t)

    @property
    def lifted_t(self) -> float | None:
        return max((h.lifted_t for h in self.hosts if h.lifted_t is not None), default=None)

    @cached_property
    def signs(self) -> tuple[Sign, ...]:
        """What the stack itself said was wrong, before the fault and after."""
        return signs(self.samples, self.t0)

    @cached_property
    def lag_peak_s(self) -> float | None:
        """The oldest market data that any host told of, from the fault on; None: nobody told of any, or no fault was in."""
        return lag_peak(self.samples, self.t0) if self.injected else None

    @property
    def injected(self) -> bool:
        """Was any fault in?"""
        return any(host.injected_t is not None for host in self.hosts)

    @property
    def commit(self) -> str:
        """Which commit of the project was run; else the code that its services said they run, at first; "" where nobody said it."""
        first = [s for s in self.samples if s.get("phase") == "steady"] or self.samples[:1]
        documents = (said for sample in first for said in (sample.get("health") or {}).values() if isinstance(said, Mapping))
        return str(self.start.get("commit") or " ".join(sorted({str(said["code"]) for said in documents if said.get("code")})))

    @property
    def fault(self) -> str:
        return str(self.start.get("fault", "unknown fault"))

    @property
    def environment(self) -> str:
        return str(self.start.get("environment", ""))

    @property
    def runbook(self) -> Mapping[str, Any] | None:
        """Title and hypothesis of the game day that this run belongs to."""
        book = self.start.get("runbook")
        return {"title": "", "hypothesis": "", **book} if book else None

    @property
    def command(self) -> str:
        """What to type to do it again; with the seed, where it has chosen hosts."""
        argv = tuple(str(word) for word in self.start.get("argv", ()))
        seed = str(self.start.get("seed", ""))
        by_seed = any(target.get("why") == f"seed {seed}" for target in self.targets)
        if by_seed and not any(word.partition("=")[0] == "--seed" for word in argv):
            argv += ("--seed", seed)
        return f"invoke {words(argv)}" if argv else ""

    @property
    def targets(self) -> Sequence[Mapping[str, Any]]:
        """The words of --host and the hosts that each meant; none in records of earlier versions."""
        return list(self.start.get("targets", ()))

    @property
    def refused(self) -> int | None:
        """Orders refused while a trader's disk was full, by the rows of orders; None without such a fault or without a cut."""
        if self.cut is None or self.cut.meta is None or not self.cut.meta.refusing or self.cut.orders.problem:
            return None
        return len(refused_ids(self.cut))

    @property
    def calls_for_refused(self) -> int | None:
        return (
            calls_for_refused(self.cut)
            if self.cut and self.refused is not None and not self.cut.venue.problem
            else None
        )

    @property
    def accepted(self) -> int | None:
        """Orders that the venue accepted from the start of the run to its cut; by its own journal."""
        if self.cut is None or self.cut.venue.problem or not self.cut.venue.rows:
            return None
        return sum(self.started_t <= order.t <= self.ended_t for order in self.cut.accepted())


def tell(events: Sequence[Event], cut: Cut | None) -> Story:
    """The story of a record; of one without a verdict, that nothing is known."""
    start = _last(events, "run.started")
    end = _last(events, "verdict")
    times = [float(event["t"]) for event in events] or [0.0]
    seen = [(str(e["host"]), str(e.get("op", ""))) for e in events if e["event"] in STEPS]
    asked = [] if start.get("ops") else [(str(host), "") for host in start.get("hosts", ())]
    return Story(
        run=str(events[0]["run"]) if events else "",
        start=start,
        verdict=str(end.get("verdict", "unknown")),
        residue=str(end.get("residue", "dirty" if any(e["event"] == "S2.armed" for e in events) else "clean")),
        exit_code=end.get("exit_code"),
        why=str(end.get("why", "the record ends before the verdict: the controller died or is still at it")),
        hosts=tuple(_host(host, op, events) for host, op in dict.fromkeys([*asked, *seen])),
        schedule=tuple(_step(op, events) for op in start.get("ops", ())),
        peers=tuple(_peer(event) for event in events if event["event"] == "witness.peer"),
        steady={str(e.get("when", "")): _checks([e]) for e in events if e["event"] == "steady"},
        checks=_checks(e for e in events if e["event"] == "checks"),
        expectations=_checks(e for e in events if e["event"] == "expectations"),
        notes=tuple(e for e in events if e["event"] == "note"),
        samples=tuple(e for e in events if e["event"] == "sample"),
        spread=_last(events, "S4.spread"),
        recovered=_last(events, "recovered"),
        started_t=times[0],
        ended_t=times[-1],
        cut=cut,
        judged=tuple((float(e["t"]), _judged(e), _checks([e])) for e in events if e["event"] in JUDGED),
        unseen=tuple(f"{e.get('target', '')}: {e.get('why', '')}" for e in events if e["event"] == "witness.none"),
        acts=tuple(e for e in events if e["event"] == "act"),
        situations=_last(events, "situations").get("reached"),
        breakpoint=waited_for(events),
    )


def _step(op: Mapping[str, Any], events: Sequence[Event]) -> Step:
    name = str(op["id"])
    began = next(
        (float(e.get("injected_t") or e["t"]) for e in events if e.get("op") == name and e["event"] in BEGINS), None
    )
    parameters = " ".join(f"{key} {value}" for key, value in (op.get("params") or op.get("options") or {}).items())
    if "fault" in op:
        does = f"{op['fault']} {parameters} on {op['host']} for {float(op['hold_s']):g} s"
    elif "act" in op:
        does = f"{op['act']} {parameters}"
    elif "wait_s" in op:
        does = f"wait {float(op['wait_s']):g} s"
    else:
        does = str(op.get("pause") or op.get("note") or "")
    return Step(str(op["lane"]), name, " ".join(does.split()), began)


def _host(host: str, op: str, events: Sequence[Event]) -> HostStory:
    mine = [event for event in events if event.get("host") == host and event.get("op", "") == op]
    injected, lifted = _last(mine, "S4.injected"), _last(mine, "S8.verified")
    cleared, revert = _last(mine, "S9.cleared"), _last(mine, "S7.revert")
    late = cleared.get("lateness_ms", lifted.get("lateness_ms"))
    return HostStory(
        host=host,
        op=op,
        steps=tuple(
            (str(event["event"]), float(event.get("host_t") or event["t"])) for event in mine if event["event"] in STEPS
        ),
        mechanism=str(injected.get("mechanism", "")),
        witness=str(_last(mine, "S5.confirmed").get("witness", "")),
        injected_t=injected.get("injected_t") or injected.get("t"),
        lifted_t=lifted.get("lifted_t") or lifted.get("t") or revert.get("t"),
        clean=lifted.get("clean"),
        diff=tuple(map(str, lifted.get("diff", ()))),
        ours=tuple(map(str, lifted.get("ours", ()))),
        back=tuple(map(str, lifted.get("back", ()))),
        side_effects=tuple(map(str, lifted.get("side_effects", ()))),
        others=tuple(map(str, lifted.get("others", ()))),
        reverted_by=str(cleared.get("reverted_by") or lifted.get("reverted_by") or ""),
        lateness_ms=None if late is None else int(late),
    )


def _peer(event: Event) -> str:
    command = words(tuple(map(str, event.get("argv", ()))))
    return f"{event['host']}: {command} ended with {event.get('code')}, {'as' if event.get('agrees') else 'NOT as'} planned"


def _checks(events: Iterable[Event]) -> tuple[Check, ...]:
    rows: list[Mapping[str, Any]] = [row for event in events for row in event.get("checks", ())]
    return tuple(
        Check(
            str(row.get("id", "")), str(row.get("verdict", "unknown")), str(row.get("why", "")),
            float(row.get("took_s") or 0), dict(row.get("sources") or {}),
        )
        for row in rows
    )  # fmt: skip


def _judged(event: Event) -> str:
    when = f" {event['when']}" if event.get("when") else ""
    return JUDGED[str(event["event"])] + when


def _last(events: Iterable[Event], name: str) -> Event:
    return next((event for event in reversed(list(events)) if event["event"] == name), {})
