"""Shared by modules that build something in the cache: how `python -m` of one runs (it reports progress; an error is one line and its
exit code), and how long files are kept. Other versions of the project have their own files there."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stormdesk.core.errors import StormdeskError

Say = Callable[[str], None]
UNUSED_S = 30 * 86400.0


def run(make: Callable[[Say], object]) -> int:
    """Build it; returns the exit code of the process."""
    try:
        make(lambda line: print(line, flush=True))
    except StormdeskError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


def in_use(*paths: Path) -> None:
    """Record that something was just used."""
    with contextlib.suppress(OSError):  # the cache may be read-only
        for path in paths:
            os.utime(path)


def remove_unused(folder: Path, pattern: str) -> None:
    """Remove the files that were not used for 30 days. Mounted ones stay until they are released."""
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            if path.is_file() and path.stat().st_mtime < time.time() - UNUSED_S:
                path.unlink()
