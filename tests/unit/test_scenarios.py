"""Every scenario has at most one runbook, every runbook can be planned, and docs/scenarios.md says what is so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stormdesk.core.runbook import Runbook
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
    claimed = [name for book in BOOKS.values() for name in scenarios.ids(book)]
    assert sorted(claimed) == sorted(set(claimed))
    assert set(claimed) <= set(scenarios.IDS)


def test_runbooks_have_names_of_their_own() -> None:
    names = [path.stem for path in BOOKS]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_runbook_names_hosts_of_a_stack_and_judges_something(path: Path) -> None:
    book = BOOKS[path]
    words = {word for inject in book.faults for word in inject.hosts}
    watched = {expect.host for inject in book.faults for expect in inject.expect if expect.host}
    named = {word for word in words if word != "leader" and ":" not in word} | watched
    assert any(named <= hosts for hosts in HOSTS.values()), named
    assert book.hypothesis and scenarios.ids(book)  # noqa: PT018
    assert any(inject.expect for inject in book.faults) or book.checks
    assert {op.do.task for op in book.schedule if isinstance(op.do, Act)} <= set(ACTS)


def test_a_budget_that_the_stack_knows_is_the_runbooks() -> None:
    budgets = {name: book.rto_s for book in BOOKS.values() for name in scenarios.ids(book)}
    known = {name.replace("_", "-"): rto_s for name, rto_s in load().rto_s.items()}
    assert {name: rto_s for name, rto_s in known.items() if name in budgets} == {
        name: budgets[name] for name in known if name in budgets
    }
    assert known.keys() & budgets.keys() >= {"H-01", "H-07", "N-03", "B-05", "R-01", "L-02", "L-03"}


def test_the_page_is_of_these_runbooks_and_results() -> None:
    assert scenarios.PAGE.read_text() == scenarios.page(BOOKS, scenarios.results()), "run: invoke dev.scenarios"


def test_a_result_belongs_to_a_runbook() -> None:
    assert set(scenarios.results()) <= {path.stem for path in BOOKS}


def _one() -> tuple[Path, Runbook, scenarios.Result]:
    path = next(path for path in BOOKS if path.stem == "kill-feeder")
    result = scenarios.Result(
        runbook=path.stem, digest=BOOKS[path].digest, run="r-1", date="2026-11-28", verdict="held", why="", recovery_s=3.5,
        expectations=[scenarios.Judged(id="a", verdict="violated", why="after 99 s")],
        checks=[scenarios.Judged(id="I-01", verdict="held", why="")],
    )  # fmt: skip
    return path, BOOKS[path], result


def _row(known: dict[Path, Runbook], measured: dict[str, scenarios.Result]) -> str:
    lines = scenarios.page(known, measured).splitlines()
    return next(line for line in lines if line.startswith("| H-01 "))


def test_a_row_is_honest_about_what_was_not_run_is_old_or_is_missing() -> None:
    path, book, result = _one()
    assert _row({path: book}, {path.stem: result}).endswith("| held |")
    assert "**violated**: after 99 s" in _row({path: book}, {path.stem: result})
    assert _row({path: book}, {}).endswith("| not run |")
    assert _row({}, {path.stem: result}).endswith("| **no runbook** |")
    old = {path.stem: scenarios.Result(**{**_fields(result), "digest": "0"})}  # type: ignore[arg-type]
    assert _row({path: book}, old).endswith("| old (held) |")
    assert _row({path: replace(book, scenarios=("H-02",))}, {}).endswith("| **no runbook** |")


def _fields(result: scenarios.Result) -> dict[str, object]:
    return {name: getattr(result, name) for name in result.__struct_fields__}
