"""The messages about tasks and flags, known and unknown."""

from __future__ import annotations

import pytest

from stormdesk.cli.menu import Entry, looks_like_a_task, menu, stray_value, unknown_flag, unknown_task

TASKS = ["doctor", "env.up", "env.down", "chaos.disk-full", "chaos.process-kill", "chaos.revert", "check.steady"]
GROUPS = ["env", "chaos", "check"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("chaos.disk-ful", "chaos.disk-full"),
        ("chaos.disk_full", "chaos.disk-full"),
        ("chaos.DISKFULL", "chaos.disk-full"),
        ("chaso.disk-full", "chaos.disk-full"),
        ("disk-full", "chaos.disk-full"),
        ("docter", "doctor"),
        ("chao", "chaos"),
        ("up", "env.up"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(typed: str, meant: str) -> None:
    assert unknown_task(typed, TASKS, GROUPS) == f"no task '{typed}'. Did you mean: {meant}?"


@pytest.mark.parametrize("typed", ["chaos.earthquake", "zzz", "", "x" * 100_000, "\u202e"])
def test_an_unknown_name_gets_a_hint_to_the_list(typed: str) -> None:
    message = unknown_task(typed, TASKS, GROUPS)
    assert message.endswith("All tasks: invoke --list")
    assert message.isprintable()
    assert len(message) < 200


def test_similar_flags_are_suggested_first() -> None:
    assert unknown_flag("t", "--precent", ["--percent", "--for"]).startswith(
        "t has no --precent. Did you mean --percent? "
    )
    assert unknown_flag("t", "-for", ["--percent", "--for"]).startswith("t has no -for. Did you mean --for? ")
    assert unknown_flag("t", "--x", ["--percent"]) == "t has no --x. Its flags: --percent   (invoke t --help)"


def test_a_stray_word_is_explained_by_the_word_before_it() -> None:
    flags = {"--for": True, "--json": False}
    assert "--for is given twice" in stray_value("t", "30s", "--for", flags)
    assert "--json takes no value" in stray_value("t", "yes", "--json", flags)
    assert "takes no bare value 'x'" in stray_value("t", "x", "t", flags)


def test_a_value_is_not_taken_for_a_task() -> None:
    assert looks_like_a_task("chaos.disk-ful", TASKS)
    assert not looks_like_a_task("trader-a", TASKS)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_menu_fits_the_terminal(width: int) -> None:
    entries = [
        Entry("chaos.disk-full", "Fill a filesystem", "--host H [--percent 95 --for 30s]"),
        Entry("doctor", "Look"),
    ]
    text = menu("Title", entries, ["footer"], width)
    assert max(map(len, text.splitlines())) <= width
    assert ("[--percent 95" in text) == (width >= 80)
    assert "--host H" in text or width < 70
