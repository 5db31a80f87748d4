"""Schedules: which operation comes after which, what may overlap, and when each begins."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormdesk.core.schedule import Act, At, Inject, Note, Op, Schedule, Wait, in_lanes
from stormdesk.faults.noop import Noop


def fault(name: str, lane: str = "main", hold_s: float = 5.0, *after: At) -> Op:
    return Op(name, lane, Inject(Noop(), ("a",), hold_s), after)


def lanes(*ops: Op) -> Schedule:
    return in_lanes({lane: [op for op in ops if op.lane == lane] for lane in dict.fromkeys(op.lane for op in ops)})


def pairs(schedule: Schedule) -> set[str]:
    return {a.id + b.id for a, b in schedule.overlapping()}


def test_a_lane_is_one_after_the_other_and_lanes_are_side_by_side() -> None:
    schedule = lanes(fault("a", "x", 5), Op("w", "x", Wait(2)), fault("b", "x", 3), fault("c", "y", 4))
    assert pairs(schedule) == {"ac", "bc"}
    assert schedule.windows() == {"a": (0, 5), "w": (5, 7), "b": (7, 10), "c": (0, 4)}
    assert [op.id for op in schedule.injects] == ["a", "b", "c"]


def test_an_anchor_moves_an_operation_and_orders_faults_only_by_their_end() -> None:
    schedule = lanes(
        fault("a", "x", 5),
        fault("b", "y", 3, At("a", "inject", 2)),
        fault("c", "z", 3, At("a", "lift", 1)),
        fault("d", "v", 1, At("c", "inject")),
        fault("e", "u", 1, At(plus_s=60)),
    )
    assert pairs(schedule) == {"ab", "bc", "bd", "cd", "ae", "be", "ce", "de"}  # a minute is no order: a may heal late
    assert schedule.windows() == {"a": (0, 5), "b": (2, 5), "c": (6, 9), "d": (6, 7), "e": (60, 61)}


def test_an_operation_waits_for_its_predecessor_and_its_anchor() -> None:
    schedule = lanes(
        fault("a", "x", 5),
        Op("pause", "y", Act("stack.pause", {"by": "ann"}), (At("a", "inject", 1),)),
        Op("said", "y", Note("paused"), (At("a", "end", 3),)),
        Op("resume", "y", Act("stack.resume"), (At(plus_s=2),)),
    )
    assert [schedule.windows()[name][0] for name in ("pause", "said", "resume")] == [1, 8, 8]


@pytest.mark.parametrize(
    ("ops", "why"),
    [
        ([fault("a", "x", 5, At("b"))], "a: there is no step 'b'"),
        ([Op("w", "x", Wait(1)), fault("a", "y", 5, At("w", "lift"))], "a: w is no fault: it has a begin and an end only"),
        ([fault("a", "x", 5, At("a"))], "a: a wait for each other"),
        ([fault("a", "x", 5, At("b")), fault("b", "y", 5, At("a"))], "a: a and b wait for each other"),
        ([fault("a", "x", 5, At("b")), fault("b", "x", 5)], "a: a and b wait for each other"),
    ],
)  # fmt: skip
def test_what_can_never_begin_is_refused(ops: Sequence[Op], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        lanes(*ops)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.sampled_from(["inject", "lift"])), max_size=9))
def test_faults_that_never_overlap_have_windows_apart(rows: list[tuple[int, int, str]]) -> None:
    """The order that is certain is also the order by the clock, whatever the anchors."""
    ops = [
        fault(f"f{n}", f"lane{lane}", 3, *([At(f"f{anchor}", edge, 1)] if anchor < n else []))
        for n, (lane, anchor, edge) in enumerate(rows)
    ]
    schedule = lanes(*ops)
    windows = schedule.windows()
    for a in ops:
        for b in ops:
            if schedule.comes_after(a.id, b.id):
                assert windows[a.id][0] >= windows[b.id][1]
