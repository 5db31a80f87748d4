"""docs/reliability.md: a row for each kind of test and each bug, and every test that a row names exists."""

from __future__ import annotations

import re

from tests.support.invoking import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text()


def missing(page: str) -> list[str]:
    """What a page names and the tests do not have: a function, or a name that is set to one."""
    gone = []
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page):
        path = ROOT / file
        text = path.read_text() if path.is_file() else ""
        if not re.search(rf"^(async )?(def {test}\(|{test} = )", text, re.MULTILINE):
            gone.append(f"{file}::{test}")
    return gone


def test_each_row_names_tests_that_exist() -> None:
    rows = {line.split("|")[1].strip(): line for line in PAGE.splitlines() if re.match(r"\| [TB]\d+ \|", line)}
    assert set(rows) == {*(f"T{n}" for n in range(1, 19)), *(f"B{n}" for n in range(1, 29))}
    assert all("::test_" in row for row in rows.values())
    assert missing(PAGE) == []


def test_a_test_that_is_gone_is_found() -> None:
    assert missing("`tests/unit/test_states.py::test_nothing_like_that`") != []
    assert missing("`tests/unit/test_gone.py::test_x`") != []
