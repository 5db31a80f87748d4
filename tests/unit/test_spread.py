"""The distribution of the tests over workers (tests/support/spread.py)."""

from __future__ import annotations

from pathlib import Path

from tests.support import spread

ROOT = Path(__file__).parents[2]


def test_every_file_that_is_named_is_there() -> None:
    files = {name.partition("::")[0] for name in (*spread.SECONDS, *spread.ALONE)}
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []


def test_a_file_stays_together_unless_its_tests_share_nothing() -> None:
    assert spread.scope("tests/e2e/test_guard.py::test_a[x::y]") == "tests/e2e/test_guard.py"
    (bug, other) = (f"{spread.ALONE[2]}::test_a_planted_bug_is_caught[{name}]" for name in ("a", "b"))
    assert spread.scope(bug) != spread.scope(other)


def test_what_takes_long_begins_before_what_is_over_soon() -> None:
    listed = max(spread.SECONDS, key=spread.SECONDS.__getitem__)
    assert spread.expected_s(listed) > spread.expected_s("tests/e2e/test_new.py")
    assert spread.expected_s("tests/e2e/test_new.py") > spread.expected_s("tests/unit/test_new.py")


def test_the_first_worker_begins_without_a_lab_and_the_others_with_one() -> None:
    lab, quick, shell = "tests/e2e/test_guard.py", "tests/e2e/test_new.py", "tests/shell/test_bite_load.py"
    unit = "tests/unit/test_new.py"
    assert spread.next_of([lab, unit, shell], "gw0") == shell
    assert spread.next_of([unit, quick, lab, shell], "gw1") == lab
    assert spread.next_of([quick, lab], "gw0") == lab
    assert spread.next_of([unit, shell], "gw3") == shell


def test_the_two_parts_take_about_as_long() -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    labs = sum(spread.expected_s(file) for file in files if file.startswith(spread.LABS))
    rest = sum(spread.expected_s(file) for file in files if not file.startswith(spread.LABS))
    assert 0.6 < rest / (labs / 3) < 1.4
