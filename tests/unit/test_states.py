"""The state table of a run: every pair of state and event, read by the controller and by three shells."""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest

from stormdesk.core.states import TABLE, Event, State, Stuck, as_shell, row
from stormdesk.host.scripts import host_scripts

PAIRS = list(itertools.product(State, Event))


def test_every_state_has_a_row() -> None:
    assert set(TABLE) == set(State)


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: str(value) or "NEW")
def test_a_pair_keeps_the_rules(state: State, event: Event) -> None:
    to = TABLE[state].to.get(event)
    if event is Event.REVERT:
        assert (to is None) == (state is State.REVERTED)
    if event is Event.INJECT:
        assert (to is not None) == (state is State.ACKED)
    if state in (State.REVERTING, State.REVERT_FAILED, State.REVERTED) and to is not None:
        assert to in (State.REVERTING, State.REVERT_FAILED, State.REVERTED)
    if to is not None and TABLE[state].bites:
        assert TABLE[to].bites or to is State.REVERTING, "a fault that is in stays until somebody reverts"


def reached(state: State) -> set[State]:
    seen, ahead = set[State](), {state}
    while ahead:
        at = ahead.pop()
        seen.add(at)
        ahead |= set(TABLE[at].to.values()) - seen
    return seen


@pytest.mark.parametrize("state", State, ids=lambda state: state or "NEW")
def test_every_state_is_reached_and_comes_to_the_end(state: State) -> None:
    assert state in reached(State.NEW)
    assert State.REVERTED in reached(state)


def test_nothing_comes_in_without_an_acknowledgement() -> None:
    before = {State.NEW, State.INTENT, State.ARMED, State.ACKED}
    assert not any(TABLE[state].bites for state in before)
    into = {state for state, each in TABLE.items() for to in each.to.values() if TABLE[to].bites and not each.bites}
    assert into == {State.ACKED}


def test_a_state_of_a_later_version_needs_a_person() -> None:
    assert (row("SOMETHING").stuck, row("SOMETHING").as_planned) == (Stuck.ALWAYS, False)


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"]], ids=lambda shell: shell[0])
def test_the_host_reads_the_same_table(shell: list[str]) -> None:
    asked = "".join(f"sd_next '{state}' {event} && echo \"$sd_next\" || echo refused\n" for state, event in PAIRS)
    done = subprocess.run(shell, input=as_shell() + asked, text=True, capture_output=True, check=True, timeout=20)
    assert done.stdout.splitlines() == [TABLE[state].to.get(event, "refused") for state, event in PAIRS]


def test_the_host_writes_states_by_events_alone() -> None:
    texts = {name: re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE) for name, text in host_scripts().items()}
    written = {word for text in texts.values() for word in re.findall(r"sd_write (\S+)", text)}
    assert written == {"STEP", '"$sd_next"'}
    reported = {word for text in texts.values() for word in re.findall(r"sd_event (\w+)", text)}
    assert reported == set(Event)
    named = {word for text in texts.values() for word in re.findall(r'sd_state" !?= (\w+)', text)}
    assert named
    assert named <= set(State)
