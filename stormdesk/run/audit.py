"""Seals a run directory, and compares it with its seal (core/audit.py). Every error of `seal` is an OSError."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

from stormdesk import durable
from stormdesk.core import audit
from stormdesk.core.audit import EVENTS, NAME, Finding
from stormdesk.core.errors import UsageError
from stormdesk.run.lines import locked


def seal(folder: Path, why: str, names: Collection[str] | None = None) -> str:
    """Add to the audit log what the files `names` and the new events hold now, durably; the head of the chain.

    Without `names` everything in the folder is sealed: only who made all of it may do that. The other files stay as they were
    sealed, so a change that somebody else made to them is still found.
    """
    fd = os.open(folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with locked(fd):
            known = (folder / NAME).read_bytes()
            whole = known[: known.rfind(b"\n") + 1]
            if len(whole) < len(known):  # a writer died
                os.ftruncate(fd, len(whole))
            chain = audit.read(whole)
            chosen = set(_names(folder)) if names is None else {*names, EVENTS}
            files = {name: (folder / name).read_bytes() for name in chosen if (folder / name).is_file()}
            more = audit.extended(chain, files, round(time.time(), 3), why)
            try:
                durable.write_all(fd, more)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, len(whole))
                raise
    finally:
        os.close(fd)
    durable.sync_folder(folder)
    return audit.read(whole + more).head


def verify(folder: Path, head: str = "") -> tuple[list[Finding], str]:
    """What differs from what was sealed, and the head of the chain; "" when the run was never sealed: then only its events can be
    judged, by their own sums. Raises UsageError when the folder cannot be read."""
    try:
        files = {name: (folder / name).read_bytes() for name in _names(folder)}
        log = (folder / NAME).read_bytes() if (folder / NAME).is_file() else None
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    if not log:  # also one that a full disk kept empty
        return audit.unsealed(files.get(EVENTS, b"")), ""
    return audit.verify(log, files, head), audit.read(log).head or "unreadable"


def _names(folder: Path) -> list[str]:
    """All files of a run directory but the audit log, relative to it; links are not followed."""
    return [
        str(Path(parent, name).relative_to(folder))
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(parent, name) != folder / NAME
    ]
