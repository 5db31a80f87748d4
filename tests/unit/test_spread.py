"""The distribution of the tests over workers (tests/support/spread.py)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support import spread

ROOT = Path(__file__).parents[2]


def test_every_file_that_is_named_is_there() -> None:
    files = {name.partition("::")[0] for name in (*spread.SECONDS, *spread.ALONE, *sum(spread.TOGETHER, ()))}
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []


def test_a_file_stays_together_unless_its_tests_share_nothing() -> None:
    assert spread.scope("tests/e2e/test_guard.py::test_a[x::y]") == "tests/e2e/test_guard.py"
    (bug, other) = (f"{spread.ALONE[2]}::test_a_planted_bug_is_caught[{name}]" for name in ("a", "b"))
    assert spread.scope(bug) != spread.scope(other)


def test_files_that_share_a_lab_go_to_one_worker_in_their_order() -> None:
    for files in spread.TOGETHER:
        (group,) = {spread.scope(f"{file}::test_a") for file in files}
        assert spread.expected_s(group) == sum(map(spread.expected_s, files))
        assert sorted(files) == list(files)  # as pytest collects them
        texts = [(ROOT / file).read_text() for file in files]
        assert all(re.search(r"\b(lab|desk): ", text) and "def lab(" not in text for text in texts)


def test_what_takes_long_begins_before_what_is_over_soon() -> None:
    listed = max(spread.SECONDS, key=spread.SECONDS.__getitem__)
    assert spread.expected_s(listed) > spread.expected_s("tests/e2e/test_new.py")
    assert spread.expected_s("tests/e2e/test_new.py") > spread.expected_s("tests/unit/test_new.py")
