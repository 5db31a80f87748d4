"""The runbooks of game days: finding and reading them."""

from __future__ import annotations

from pathlib import Path

import stormdesk
from stormdesk.cli import catalogue
from stormdesk.core import runbook
from stormdesk.core.errors import UsageError
from stormdesk.core.runbook import Runbook
from stormdesk.desk.acts import ACTS
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
    return runbook.parse(text, str(path), catalogue.everything(), tuple(JUDGES), tuple(ACTS))


def known() -> list[Path]:
    """The project's own runbooks (the folders in invoke.yaml), then ours, each by its name once."""
    found = [path for folder in (*settings.load().runbooks, OURS) for path in sorted(folder.glob("*.md"))]
    return list({path.stem: path for path in reversed(found)}.values())[::-1]
