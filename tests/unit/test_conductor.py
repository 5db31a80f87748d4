"""The order in which a schedule is played: lanes, anchors, what fails, what stops. Its faults: tests/e2e/test_campaign.py."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stormdesk.core.errors import HostError
from stormdesk.core.schedule import Act, At, Note, Op, Schedule, Wait, in_lanes
from stormdesk.run.conductor import Conductor, Hands


class Played:
    """The conductor of a schedule without faults, and what was done when, in seconds from its start."""

    def __init__(self, *ops: Op, slow_s: float = 0.0) -> None:
        lanes = {lane: [op for op in ops if op.lane == lane] for lane in dict.fromkeys(op.lane for op in ops)}
        self.schedule: Schedule = in_lanes(lanes)
        self.done: dict[str, float] = {}
        self._slow_s = slow_s
        self._began = time.monotonic()
        nobody = cast(Any, None)
        hands = Hands(nobody, self._act, nobody, self._note)
        self.conductor = Conductor(self.schedule, hands, cast(Any, SimpleNamespace(stop_when=())), nobody)

    def _act(self, op: str, act: Act) -> None:
        time.sleep(self._slow_s)
        if act.task == "fail":
            raise HostError("it failed")
        self._note(op, act)

    def _note(self, op: str, _: Act | Note) -> None:
        self.done[op] = time.monotonic() - self._began


def note(name: str, lane: str, *after: At) -> Op:
    return Op(name, lane, Note(name), after)


def test_lanes_are_side_by_side_and_steps_wait_for_their_anchors() -> None:
    played = Played(
        Op("w1", "x", Wait(0.4)), note("a", "x"),
        note("b", "y"), Op("w2", "y", Wait(0.2)), note("c", "y"),
        note("d", "z", At("a", "begin", 0.3)), note("e", "v", At(plus_s=0.1)),
    )  # fmt: skip
    played.conductor.play()
    assert list(played.done) == ["b", "e", "c", "a", "d"]
    for name, least in {"e": 0.1, "c": 0.2, "a": 0.4, "d": 0.7}.items():
        assert played.done[name] >= least


def test_a_task_that_fails_ends_the_play_at_once() -> None:
    played = Played(Op("bad", "x", Act("fail")), note("after", "x"), Op("long", "y", Wait(60)), note("late", "y"))
    began = time.monotonic()
    with pytest.raises(HostError, match="it failed"):
        played.conductor.play()
    assert time.monotonic() - began < 30
    assert played.done == {}


def test_who_stops_waits_for_a_task_that_is_under_way() -> None:
    played = Played(Op("slow", "x", Act("stack.pause")), Op("bad", "y", Act("fail")), slow_s=0.5)
    with pytest.raises(HostError):
        played.conductor.play()
    played.conductor.stop()
    assert "slow" in played.done


class Looked(Played):
    """Remembers what each lane is at while a task is under way."""

    words: tuple[str, ...] = ()

    def _act(self, op: str, act: Act) -> None:
        self.words = self.now()
        super()._act(op, act)

    def now(self) -> tuple[str, ...]:
        return tuple(self.conductor._lane(name)[3] for name in ("x", "y", "z"))


def test_each_lane_says_what_it_is_at() -> None:
    played = Looked(
        note("a", "x"), Op("task", "x", Act("stack.pause"), (At(plus_s=0.2),)),
        Op("long", "y", Wait(60)), note("b", "y"), note("c", "z", At("task", "end")),
    )  # fmt: skip
    assert played.now() == ("a is waiting", "long is waiting", "c is waiting")
    short = Looked(*(op if op.id != "long" else Op("long", "y", Wait(0.5)) for op in played.schedule))
    short.conductor.play()
    assert short.words == ("task is under way", "long is under way", "c is waiting")
    assert short.now() == ("done", "done", "done")
