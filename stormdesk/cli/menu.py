"""Texts of the command line: the menu, and the messages about unknown tasks and flags. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stormdesk.core.values import shown

FLAG_EXAMPLES = 12  # more flags than this are left to --help


@dataclass(frozen=True)
class Entry:
    """One line of the menu."""

    name: str
    about: str
    hint: str = ""


def menu(title: str, entries: Sequence[Entry], footer: Iterable[str], width: int) -> str:
    """The tasks in the given order, with descriptions and main flags; `width` in columns."""
    names = max((len(entry.name) for entry in entries), default=0)
    abouts = min(max((len(entry.about) for entry in entries), default=0), 44)
    lines = [title, ""] if title else []
    for entry in entries:
        line = f"  {entry.name:<{names}}  {entry.about:<{abouts}}"
        hints = (entry.hint, entry.hint.partition(" [")[0])  # all of it if it fits, else only the required flags
        fitting = next((text for text in hints if len(line) + 2 + len(text) <= width), "")
        line = f"{line}  {fitting}".rstrip()
        lines.append(line if len(line) <= width else line[: width - 1] + "…")
    return "\n".join([*lines, "", *footer])


def unknown_task(word: str, tasks: Iterable[str], groups: Iterable[str]) -> str:
    """`no task 'env.statu'. Did you mean: env.status?`"""
    near = _near(word, [*tasks, *groups])
    hint = f"Did you mean: {near}?" if near else "All tasks: invoke --list"
    return f"no task '{shown(word)}'. {hint}"


def unknown_flag(task: str, word: str, flags: Sequence[str]) -> str:
    """`env.up has no --topolgy. Did you mean --topology? Its flags: …`"""
    twin = "-" + word if "-" + word in flags else ""  # -host for --host
    near = twin or _near(word, flags)
    hint = f" Did you mean {near}?" if near else ""
    return f"{task} has no {shown(word)}.{hint} {known_flags(task, flags)}"


def stray_value(task: str, word: str, before: str, flags: Mapping[str, bool]) -> str:
    """The message about a word without a flag. `flags` says which take a value; `before` is the preceding word."""
    if flags.get(before):
        return f"{before} is given twice; {task} takes it once. {known_flags(task, list(flags))}"
    if before in flags:
        return f"{before} takes no value, but '{shown(word)}' follows it. Help: invoke {task} --help"
    return f"{task} takes no bare value '{shown(word)}'. {known_flags(task, list(flags))}"


def known_flags(task: str, flags: Sequence[str]) -> str:
    """The flags of a task; if there are many, where to find them."""
    more = " …" if len(flags) > FLAG_EXAMPLES else ""
    return f"Its flags: {' '.join(flags[:FLAG_EXAMPLES])}{more}   (invoke {task} --help)"


def looks_like_a_task(word: str, tasks: Iterable[str]) -> bool:
    """Whether this is a misspelt task name rather than a value."""
    return bool(difflib.get_close_matches(_plain(word), [_plain(task) for task in tasks], 1, 0.8))


def _near(word: str, known: Iterable[str]) -> str:
    """The name that was probably meant, or "". Of `group.name` only the name is compared, since groups repeat."""
    names = {_plain(name): name for name in known}
    plain = _plain(word[:80])
    group, _, tail = plain.rpartition(".")
    if group and any(name.startswith(f"{group}.") for name in names):
        candidates = {name.rpartition(".")[2]: name for name in names if name.startswith(f"{group}.")}
        near = difflib.get_close_matches(tail, candidates, 1, 0.6)
        return names[candidates[near[0]]] if near else ""
    tails = {name.rpartition(".")[2]: full for name, full in names.items()}
    near = difflib.get_close_matches(plain, {**tails, **names}, 1, 0.75 if group else 0.6)
    return {**tails, **names}[near[0]] if near else ""


def _plain(word: str) -> str:
    return word.replace("_", "-").lower()
