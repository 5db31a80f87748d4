"""How far a suite has come in an environment: `runs/suites/<suite>@<environment>.json`, so that it can be resumed.

docs/formats/suite.md has the document.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from stormdesk import durable
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.series import Ended
from stormdesk.run.record import runs_folder


class SuiteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ended`: how each runbook that came to its end did, in order. `started_at`: seconds since 1970; `seed`: of all its runs."""

    suite: str
    environment: str
    seed: int
    started_at: float
    ended: Sequence[Ended] = ()


def path_of(suite: str, environment: str) -> Path:
    return runs_folder() / "suites" / f"{suite}@{environment}.json"


def started(suite: str, environment: str, seed: int) -> SuiteFile:
    """A suite of which nothing has been run, on the disk. Raises RefusedError where it cannot be written."""
    return keep(SuiteFile(suite=suite, environment=environment, seed=seed, started_at=round(time.time(), 3)))


def resumed(suite: str, environment: str) -> SuiteFile:
    """The suite as it was left. Raises UsageError where there is none, or it cannot be read."""
    path = path_of(suite, environment)
    try:
        found = durable.read_json(path, SuiteFile)
    except durable.CorruptError as error:
        raise UsageError(f"--resume: {error}. Start anew: invoke gameday.run --suite {suite}") from error
    if found is None:
        raise UsageError(
            f"--resume: nothing of the suite {suite} was run on {environment}. Start: invoke gameday.run --suite {suite}"
        )
    return found


def keep_ended(file: SuiteFile, ended: Sequence[Ended]) -> None:
    """Write what has ended by now. Raises RefusedError where it cannot be written."""
    keep(msgspec.structs.replace(file, ended=tuple(ended)))


def keep(file: SuiteFile) -> SuiteFile:
    """Write it, whole or not at all."""
    path = path_of(file.suite, file.environment)
    try:
        durable.make_folder(path.parent)
        durable.replace(path, msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n", mode=0o644)
    except OSError as error:
        raise RefusedError(
            f"{path} cannot be written: {error.strerror}. Make room, or set STORMDESK_RUNS to another folder"
        ) from error
    return file
