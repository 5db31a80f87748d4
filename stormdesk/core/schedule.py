"""What a run does, and when: operations in lanes, on one clock. Pure.

An operation of a lane begins when the one before it in the lane has ended, and not before what its `at` names. Lanes run side by
side. `chaos.<fault>` is a schedule of one operation, a runbook is a schedule with prose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from stormdesk.core.anchors import WITHIN_S, Event
from stormdesk.core.expect import Expectation
from stormdesk.core.fault import Fault

EDGES = ("begin", "inject", "lift", "end")  # of an operation; only a fault has `inject` and `lift`
AFTERWARDS = ("lift", "end")  # the edges at which a fault's own time is over


@dataclass(frozen=True)
class At:
    """`plus_s` seconds after an edge of operation `op`; after the start of the schedule where `op` is ""."""

    op: str = ""
    edge: str = "end"
    plus_s: float = 0.0


@dataclass(frozen=True)
class Inject:
    """A fault on hosts, named as `--host` takes them, held for `hold_s` seconds; `ttl_s` None: hold + 15 s. With `event` the inject
    waits for that, for `within_s` seconds at most, and the event for the inject."""

    fault: Fault
    hosts: tuple[str, ...]
    hold_s: float
    ttl_s: float | None = None
    expect: tuple[Expectation, ...] = ()
    event: Event | None = None
    within_s: float = WITHIN_S


@dataclass(frozen=True)
class Act:
    """An operator's task, such as `stack.pause`, with its options as one would type them."""

    task: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """Let `s` seconds pass."""

    s: float


@dataclass(frozen=True)
class Pause:
    """Ask people, and go on when they have answered, or after `timeout_s` seconds."""

    question: str
    timeout_s: float


@dataclass(frozen=True)
class Note:
    """A remark in the record."""

    text: str


Do = Inject | Act | Wait | Pause | Note


@dataclass(frozen=True)
class Op:
    """One operation. It begins when everything in `after` has been reached, its predecessor in the lane included."""

    id: str
    lane: str
    do: Do
    after: tuple[At, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """The operations in the order in which they were written."""

    ops: tuple[Op, ...]

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    @property
    def injects(self) -> tuple[Op, ...]:
        return tuple(op for op in self.ops if isinstance(op.do, Inject))

    def op(self, name: str) -> Op:
        """The operation of that id. Raises KeyError."""
        return {op.id: op for op in self.ops}[name]

    def comes_after(self, later: str, earlier: str) -> bool:
        """Does `later` begin only when the fault of `earlier` is over, however long anything takes?"""
        for at in self.op(later).after:
            if at.op == earlier and at.edge in AFTERWARDS:
                return True
            if at.op and at.op != earlier and self.comes_after(at.op, earlier):
                return True
        return False

    def may_overlap(self, one: str, other: str) -> bool:
        return one != other and not self.comes_after(one, other) and not self.comes_after(other, one)

    def overlapping(self) -> list[tuple[Op, Op]]:
        """The pairs of faults that may be in at the same time. How long a fault is held says nothing: it may heal late."""
        return [(a, b) for a, b in combinations(self.injects, 2) if self.may_overlap(a.id, b.id)]

    def windows(self) -> dict[str, tuple[float, float]]:
        """When each operation begins and ends, in seconds from the start, if everything but waiting took no time. A question
        to people counts with its whole timeout."""
        found: dict[str, tuple[float, float]] = {}
        left = list(self.ops)
        while left:
            op = next(op for op in left if all(not at.op or at.op in found for at in op.after))
            begin = max((_reached(at, found) for at in op.after), default=0.0)
            found[op.id] = (begin, begin + _length(op.do))
            left.remove(op)
        return found


def _reached(at: At, windows: Mapping[str, tuple[float, float]]) -> float:
    begin, end = windows[at.op] if at.op else (0.0, 0.0)
    return (end if at.edge in AFTERWARDS else begin) + at.plus_s


def _length(do: Do) -> float:
    match do:
        case Inject():
            return do.hold_s
        case Wait():
            return do.s
        case Pause():
            return do.timeout_s
        case _:
            return 0.0


def in_lanes(lanes: Mapping[str, Sequence[Op]]) -> Schedule:
    """The schedule of lanes: each operation also comes after its predecessor. Raises ValueError (with the id) for an `at` that
    names no operation, itself, an edge that the operation does not have, or operations that wait for each other."""
    ops = []
    for lane in lanes.values():
        before = ""
        for op in lane:
            ops.append(Op(op.id, op.lane, op.do, (*op.after, *((At(before),) if before else ()))))
            before = op.id
    by_id = {op.id: op for op in ops}
    for op in ops:
        for at in op.after:
            if at.op and at.op not in by_id:
                raise ValueError(f"{op.id}: there is no step '{at.op}'")
            if at.op and at.edge in ("inject", "lift") and not isinstance(by_id[at.op].do, Inject):
                raise ValueError(f"{op.id}: {at.op} is no fault: it has a begin and an end only")
    if circle := _circle(by_id):
        raise ValueError(f"{circle[0]}: {' and '.join(circle)} wait for each other")
    return Schedule(tuple(ops))


def _circle(ops: Mapping[str, Op]) -> list[str]:
    """The operations that could never begin."""
    waiting = set(ops)
    while free := {name for name in waiting if not any(at.op in waiting for at in ops[name].after)}:
        waiting -= free
    return sorted(waiting)
