"""Every scenario has at most one runbook, every runbook can be planned, and docs/scenarios.md says what is so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stormdesk.cli.runbooks import Entry
from stormdesk.core.schedule import Act
from stormdesk.desk.acts import ACTS
from stormdesk.infra import stacks
from stormdesk.testnet.resilience import load
from tests.unit import scenarios

BOOKS = scenarios.books()
KEY = stacks.Credentials(api_key="key", api_secret="secret", guard_key="g", guard_secret="s", certificate="c")
HOSTS = {stack: {host.name for host in make(KEY).hosts} for stack, make in stacks.STACKS.items()}


def test_the_groups_are_those_of_the_sheet() -> None:
    assert len(scenarios.IDS) == 94 + 25
    assert len(set(scenarios.IDS)) == len(scenarios.IDS)


def test_no_scenario_is_claimed_twice_and_none_is_made_up() -> None:
    claimed = [name for entry in BOOKS.values() for name in scenarios.ids(entry.book)]
    assert sorted(claimed) == sorted(set(claimed))
    assert set(claimed) <= set(scenarios.IDS)


def test_runbooks_have_names_of_their_own() -> None:
    stems = {entry.path.stem for entry in BOOKS.values()}
    assert len(stems) == len({entry.path for entry in BOOKS.values()})


@pytest.mark.parametrize("name", BOOKS)
def test_a_runbook_names_hosts_of_a_stack_and_judges_something(name: str) -> None:
    book = BOOKS[name].book
    words = {word for inject in book.faults for word in inject.hosts}
    named = {word for word in words if word != "leader" and ":" not in word} | set(book.watched)
    assert any(named <= hosts for hosts in HOSTS.values()), named
    assert book.hypothesis
    assert scenarios.ids(book) or "part" in book.tags  # a further part of a scenario that another runbook shows
    assert any(inject.expect for inject in book.faults) or book.goals or book.checks
    assert {op.do.task for op in book.schedule if isinstance(op.do, Act)} <= set(ACTS)


def test_a_budget_that_the_stack_knows_is_the_runbooks() -> None:
    budgets = {name: entry.book.rto_s for entry in BOOKS.values() for name in scenarios.ids(entry.book)}
    known = {name.replace("_", "-"): rto_s for name, rto_s in load().rto_s.items()}
    assert {name: rto_s for name, rto_s in known.items() if name in budgets} == {
        name: budgets[name] for name in known if name in budgets
    }
    assert known.keys() & budgets.keys() >= {"H-01", "H-07", "N-03", "B-05", "R-01", "L-02", "L-03"}


def test_the_page_is_of_these_runbooks_and_results() -> None:
    assert scenarios.PAGE.read_text() == scenarios.page(BOOKS, scenarios.results()), "run: invoke dev.scenarios"


def test_a_result_belongs_to_a_runbook() -> None:
    assert set(scenarios.results()) <= BOOKS.keys()


def _one() -> tuple[Entry, scenarios.Result]:
    entry = BOOKS["kill-feeder"]
    result = scenarios.Result(
        runbook=entry.name, digest=entry.book.digest, run="r-1", date="2026-11-28", verdict="held", why="", recovery_s=3.5,
        expectations=[scenarios.Judged(id="a", verdict="violated", why="after 99 s")],
        checks=[scenarios.Judged(id="I-01", verdict="held", why="")],
    )  # fmt: skip
    return entry, result


def _row(known: dict[str, Entry], measured: dict[str, scenarios.Result]) -> str:
    lines = scenarios.page(known, measured).splitlines()
    return next(line for line in lines if line.startswith("| H-01 "))


def test_a_row_is_honest_about_what_was_not_run_is_old_or_is_missing() -> None:
    entry, result = _one()
    known, measured = {entry.name: entry}, {entry.name: result}
    assert _row(known, measured).endswith("| held |")
    assert "**violated**: after 99 s" in _row(known, measured)
    assert _row(known, {}).endswith("| not run |")
    assert _row({}, measured).endswith("| **no runbook** |")
    old = {entry.name: scenarios.Result(**{**_fields(result), "digest": "0"})}  # type: ignore[arg-type]
    assert _row(known, old).endswith("| old (held) |")
    other = replace(entry, book=replace(entry.book, scenarios=("H-02",)))
    assert _row({entry.name: other}, {}).endswith("| **no runbook** |")


def _fields(result: scenarios.Result) -> dict[str, object]:
    return {name: getattr(result, name) for name in result.__struct_fields__}
