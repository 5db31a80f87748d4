"""The runbooks of game days: finding and reading them."""

from __future__ import annotations

from pathlib import Path

import stormdesk
from stormdesk.cli import catalogue
from stormdesk.core import runbook
from stormdesk.core.errors import UsageError
from stormdesk.core.runbook import Runbook
from stormdesk.desk.acts import ACTS
from stormdesk.desk.stacks import STACKS
from stormdesk.evidence.judges import JUDGES
from stormdesk.run import settings

OURS = Path(stormdesk.__file__).parent / "runbooks"


def read(path: str | Path) -> Runbook:
    """The runbook in a file. Raises UsageError with file, line and column."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(p.stem for p in known())
        raise UsageError(
            f"--runbook {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}. Known: {names}"
        ) from error
    return runbook.parse(text, str(path), catalogue.everything(), tuple(JUDGES), tuple(ACTS), STACKS)


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
