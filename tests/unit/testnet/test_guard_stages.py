"""H-11, the guard's stages: only legal transitions, and the timing of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormdesk.testnet import resilience
from stormdesk.testnet.guard.stages import LEGAL, Move, Saved, Sight, Stage, Stages, Todo

NUMBERS = resilience.load().guard
CHECK_S = NUMBERS.check_s


class Run:
    """A machine whose checks come every `check_s`; restarts and notes work at once."""

    def __init__(self, saved: Saved | None = None) -> None:
        self.now = 0.0
        self.stages = Stages(NUMBERS, saved or Saved(), self.now)
        self.moves: list[Move] = []
        self.done: list[tuple[float, Todo]] = []

    def see(self, *sights: Sight) -> Sequence[Todo]:
        todo: Sequence[Todo] = ()
        for sight in sights:
            self.now += CHECK_S
            todo = self.stages.check(self.now, sight, "" if sight is Sight.WELL else "Feeder: gone")
            for one in todo:
                self.done.append((self.now, one))
                if one is Todo.RESTART:
                    self.stages.restarted(self.now, "")
                if one is Todo.NOTIFY:
                    self.stages.told(self.now)
            self.moves += self.stages.moves
            self.stages.moves = []
        return todo

    def until_failsafe(self, sights: Iterable[Sight]) -> None:
        for sight in sights:
            self.see(sight)
            if self.stages.stage is Stage.FAILSAFE:
                return
        raise AssertionError("never FAILSAFE")

    def restarts(self) -> list[float]:
        return [at for at, todo in self.done if todo is Todo.RESTART]


def test_scenario_H_11_two_bad_checks_restart_and_one_does_not() -> None:
    run = Run()
    run.see(Sight.DEAD, Sight.WELL, Sight.DEAD, Sight.WELL)
    assert run.done == []
    run.see(Sight.DEAD, Sight.DEAD)
    assert run.restarts() == [run.now]
    assert [(m.before, m.after) for m in run.moves] == [
        (Stage.OBSERVE, Stage.RESTART),
        (Stage.RESTART, Stage.REWIRE),
    ]


def test_scenario_H_11_a_restart_that_holds_is_forgotten_after_its_verification() -> None:
    run = Run()
    run.see(Sight.DEAD, Sight.DEAD, Sight.WELL, Sight.WELL)
    assert (run.stages.stage, run.stages.attempts) == (Stage.OBSERVE, 1)
    run.see(*[Sight.WELL] * (int(NUMBERS.verify_s / CHECK_S) + 1))
    assert run.stages.attempts == 0


def test_scenario_H_11_a_service_that_falls_again_is_restarted_after_15_and_30_s_then_failsafe() -> None:
    run = Run()
    run.until_failsafe([Sight.DEAD] * 100)
    gaps = [b - a for a, b in zip(run.restarts(), run.restarts()[1:], strict=False)]
    assert gaps == [15, 30]
    assert run.now <= 90
    assert [m.after for m in run.moves[-3:]] == [Stage.FAILSAFE, Stage.NOTIFY, Stage.FAILSAFE]
    assert "3 restarts did not help" in run.stages.reason


def test_scenario_H_11_one_that_is_up_but_not_well_has_90_s_each_time() -> None:
    run = Run()
    run.until_failsafe([Sight.BAD] * 100)
    gaps = [b - a for a, b in zip(run.restarts(), run.restarts()[1:], strict=False)]
    assert gaps == [90, 90]


def test_scenario_H_11_a_crash_loop_that_is_well_in_between_ends_too() -> None:
    """Each restart looks well for a while: it counts all the same until it has held."""
    run = Run()
    run.until_failsafe([Sight.DEAD, Sight.DEAD, Sight.WELL, Sight.WELL, Sight.WELL] * 40)
    assert len(run.restarts()) == NUMBERS.attempts


def test_scenario_H_04_nothing_is_restarted_while_what_it_needs_is_away() -> None:
    run = Run()
    run.see(*[Sight.BLIND] * 200)
    assert run.done == []
    assert run.stages.stage is Stage.OBSERVE


def test_scenario_H_04_a_restart_cannot_be_verified_while_what_it_needs_is_away() -> None:
    run = Run()
    run.see(Sight.DEAD, Sight.DEAD)
    run.see(*[Sight.BLIND] * 200)
    run.see(*[Sight.BAD] * (int(NUMBERS.verify_s / CHECK_S) - 1))
    assert (run.stages.stage, len(run.restarts())) == (Stage.REWIRE, 1)
    run.see(Sight.BAD)
    assert len(run.restarts()) == 2


def test_a_service_that_starts_is_not_restarted_for_that() -> None:
    run = Run()
    run.see(*[Sight.STARTING] * 10, Sight.WELL)
    assert run.done == []


def test_scenario_H_11_one_that_never_answers_has_90_s_each_time_too() -> None:
    run = Run()
    run.see(Sight.DEAD, Sight.DEAD)
    run.until_failsafe([*[Sight.STARTING] * 18, Sight.BAD] * 4)
    gaps = [b - a for a, b in zip(run.restarts(), run.restarts()[1:], strict=False)]
    assert gaps == [90, 90]


def test_scenario_H_03_failsafe_stays_until_a_person_clears_it_and_people_are_told_again() -> None:
    run = Run()
    run.until_failsafe([Sight.DEAD] * 100)
    before = len(run.restarts())
    run.see(*[Sight.WELL, Sight.DEAD] * int(NUMBERS.notify_s / CHECK_S))
    assert run.stages.stage is Stage.FAILSAFE
    assert len(run.restarts()) == before
    assert sum(todo is Todo.NOTIFY for _, todo in run.done) == 3
    assert run.stages.clear(run.now, "alice")
    assert (run.stages.stage, run.stages.attempts, run.stages.reason) == (Stage.OBSERVE, 0, "")
    assert not run.stages.clear(run.now, "alice")


@pytest.mark.parametrize("stage", list(Stage))
def test_scenario_H_11_a_guard_that_died_goes_on_in_its_stage(stage: Stage) -> None:
    run = Run(Saved(stage, 2, "why"))
    todo = run.see(Sight.WELL)
    expected = {
        Stage.OBSERVE: (),
        Stage.RESTART: (Todo.RESTART,),
        Stage.REWIRE: (),
        Stage.FAILSAFE: (Todo.FAILSAFE,),
        Stage.NOTIFY: (Todo.FAILSAFE, Todo.NOTIFY),
    }
    assert tuple(todo) == expected[stage]


@given(st.lists(st.one_of(st.sampled_from(list(Sight)), st.just("clear")), max_size=300))
def test_scenario_H_11_whatever_is_seen_every_move_is_in_the_table(events: list[Sight | str]) -> None:
    run = Run()
    for event in events:
        if isinstance(event, Sight):
            run.see(event)
        else:
            run.stages.clear(run.now, "bob")
            run.moves += run.stages.moves
            run.stages.moves = []
    assert all(move.after in LEGAL[move.before] for move in run.moves)
    assert all(a.after is b.before for a, b in zip(run.moves, run.moves[1:], strict=False))
    entered = [i for i, move in enumerate(run.moves) if (move.before, move.after) == (Stage.REWIRE, Stage.FAILSAFE)]
    left = [i for i, move in enumerate(run.moves) if (move.before, move.after) == (Stage.FAILSAFE, Stage.OBSERVE)]
    assert len(entered) - len(left) in (0, 1)
