"""The runbooks of game days: finding and reading them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

import stormdesk
from stormdesk.cli import catalogue
from stormdesk.core import runbook, suites
from stormdesk.core.errors import UsageError
from stormdesk.core.runbook import Runbook
from stormdesk.core.values import shown
from stormdesk.desk.acts import ACTS
from stormdesk.desk.stacks import STACKS
from stormdesk.evidence.judges import JUDGES
from stormdesk.evidence.situations import SITUATIONS
from stormdesk.run import settings

MOST_NAMED = 7  # in an error
VARIANT = re.compile(r"(.+)\[([^\[\]]+)\]")
OURS = Path(stormdesk.__file__).parent / "runbooks"


@dataclass(frozen=True)
class Entry:
    """One variant of a runbook. `name` is as gameday.run takes it: `partition`, or `partition[3s]`."""

    name: str
    path: Path
    book: Runbook

    @property
    def family(self) -> str:
        """The folder that it is in, below the folder of all; "" for none."""
        return family(self.path)

    @property
    def suites(self) -> list[str]:
        """The suites that run it."""
        return suites.of(self.family, self.book.tags)


def read(path: str | Path) -> Runbook:
    """The runbook in a file, the first of its variants. Raises UsageError with file, line and column."""
    return entries(path)[0].book


def entries(path: str | Path) -> list[Entry]:
    """All variants of the runbook in a file. Raises UsageError with file, line and column."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        near = difflib.get_close_matches(str(path), [p.stem for p in known()], 1)
        hint = f"Did you mean: {near[0]}?" if near else f"Known: {some()}"
        raise UsageError(f"--runbook {path}: {why}. {hint}") from error
    words = runbook.Vocabulary(catalogue.everything(), tuple(JUDGES), tuple(ACTS), STACKS, tuple(SITUATIONS))
    stem = Path(path).stem
    return [
        Entry(f"{stem}[{book.variant}]" if book.variant else stem, Path(path), book)
        for book in runbook.variants(text, str(path), words)
    ]


def chosen(word: str) -> list[Entry]:
    """What --runbook means: a name, a file, or one variant of either: `partition[3s]`. Raises UsageError."""
    files = {path.stem: path for path in known()}
    name, variant = word, ""
    if (parts := VARIANT.fullmatch(word)) and not Path(word).is_file():
        name, variant = parts[1], parts[2]
    if not Path(name).is_file() and Path(name).parent.name == "runbooks":
        name = Path(name).stem  # where it was before it had a family
    found = entries(files.get(name, name))
    some = [entry for entry in found if not variant or entry.book.variant == variant]
    if not some:
        there = ", ".join(entry.book.variant for entry in found if entry.book.variant)
        raise UsageError(f"--runbook {shown(word)}: no such variant. There is: {there or 'one, without a name'}")
    return some


def some() -> str:
    """The names of the first runbooks, and how to see all."""
    names = [path.stem for path in known()]
    more = f" and {len(names) - MOST_NAMED} more (invoke gameday.list)" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def suite(name: str) -> list[Entry]:
    """The runbooks of a suite, with all their variants; a tag of a project's runbooks is a suite, too. Raises UsageError."""
    every = [entry for path in known() for entry in entries(path)]
    found = [entry for entry in every if name in entry.suites or name in entry.book.tags]
    if not found and name in suites.SUITES:
        raise UsageError(f"--suite {name}: no runbook is in it.   invoke gameday.list")
    if not found:
        there = list(dict.fromkeys([*suites.SUITES, *(tag for entry in every for tag in entry.book.tags)]))
        near = difflib.get_close_matches(name, there, 1)
        hint = f"Did you mean: {near[0]}?" if near else f"Known: {', '.join(there)}"
        raise UsageError(f"--suite {shown(name)}: no such suite. {hint}")
    return found


def known() -> list[Path]:
    """The project's own runbooks (the folders in invoke.yaml), then ours, each by its name once, by family. Raises UsageError
    for two of the same name below one folder."""
    found: dict[str, Path] = {}
    for folder in (*settings.load().runbooks, OURS):
        for name, path in _named(folder).items():
            found.setdefault(name, path)
    return list(found.values())


def family(path: Path) -> str:
    """The folder that a runbook is in, below the folder of all; "" for none."""
    for folder in (*settings.load().runbooks, OURS):
        if path.resolve().is_relative_to(folder.resolve()):
            return path.resolve().relative_to(folder.resolve()).parent.as_posix().removeprefix(".")
    return ""


def _named(folder: Path) -> dict[str, Path]:
    """The runbooks below a folder by their names, in the order of their families."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.md"), key=lambda path: (path.parent, path.name)):
        if path.stem in found:
            raise UsageError(f"{found[path.stem]} and {path}: two runbooks named {path.stem}. Rename one of them")
        found[path.stem] = path
    return found
