"""Text becomes shell in one place: quoting, without a host (tests/shell runs the same in real shells)."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.core.errors import UsageError
from stormdesk.core.shell import assignments, function, here_document, words

ROOT = Path(__file__).parents[2]


@settings(max_examples=500, deadline=None, database=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t")), min_size=1))
def test_words_are_split_back_into_the_same(argv: list[str]) -> None:
    assert shlex.split(words(tuple(argv))) == argv


@settings(max_examples=200, deadline=None, database=None)
@given(st.sampled_from([chr(n) for n in (*range(32), 127) if chr(n) not in "\n\t"]))
def test_any_control_character_is_refused_by_name(character: str) -> None:
    with pytest.raises(UsageError, match="control characters are not allowed"):
        words(("echo", f"a{character}b"))


def test_plain_words_stay_plain() -> None:
    assert words(("ip", "link", "set", "dev", "eth1", "down")) == "ip link set dev eth1 down"
    assert words(("rm", "--", "a b", "")) == "rm -- 'a b' ''"


def test_a_function_stops_at_the_first_failure_unless_it_is_an_undo() -> None:
    do = function("plan_do_1", [("a",), ("b", "c d")])
    undo = function("plan_undo_1", [("a",), ("b", "c d")], keep_going=True)
    assert do == "plan_do_1() {\n  a || return\n  b 'c d' || return\n  :\n}\n"
    assert undo == "plan_undo_1() {\n  a\n  b 'c d'\n  :\n}\n"
    assert function("none", []) == "none() {\n  :\n}\n"


def test_assignments_are_lines() -> None:
    assert assignments({"A": "x y", "B": "it's"}) == "A='x y'\nB='it'\"'\"'s'\n"


def test_a_here_document_ends_on_a_line_of_its_own() -> None:
    assert here_document("x", "a").splitlines()[-2:] == ["a", "@STORMDESK_END"]
    assert here_document("x", "a\n").splitlines()[-2:] == ["a", "@STORMDESK_END"]


def test_shell_words_are_quoted_nowhere_else() -> None:
    """`shlex.quote` has one caller in the engine, so there is one place to get it wrong."""
    files = [
        path for folder in ("stormdesk", "faults") for path in (ROOT / folder).rglob("*.py") if path == path.resolve()
    ]
    users = [str(path.relative_to(ROOT)) for path in files if "shlex.quote" in path.read_text()]
    assert users == ["stormdesk/core/shell.py"]
