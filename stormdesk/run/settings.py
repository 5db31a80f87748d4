"""A project's settings: the `stormdesk:` block of its invoke.yaml (docs/own-tests.md).

stormdesk:
  checks: [checks]            # folders of pytest files that run with ours
  runbooks: [runbooks]        # folders of game days
  faults: [faults.stall]      # modules with a dict FAULTS
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from stormdesk.core.errors import UsageError

FILES = ("invoke.yaml", "invoke.yml")


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The block as it is written."""

    checks: Sequence[str] = ()
    runbooks: Sequence[str] = ()
    faults: Sequence[str] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The block with paths that can be used. `origin` names the file in errors; without one all is empty."""

    root: Path
    origin: str = ""
    checks: tuple[Path, ...] = ()
    runbooks: tuple[Path, ...] = ()
    faults: tuple[str, ...] = ()


def load() -> Settings:
    """The settings of the project that this directory is in: the nearest one upwards with a tasks.py or an invoke.yaml.

    UsageError: the block is wrong, or names a folder that is not there.
    """
    return _load(Path.cwd())


@cache
def _load(here: Path) -> Settings:
    names = ("tasks.py", *FILES)
    root = next((d for d in (here, *here.parents) if any((d / name).is_file() for name in names)), here)
    file = next((root / name for name in FILES if (root / name).is_file()), None)
    text = file.read_text(encoding="utf-8") if file else ""
    if file is None or not re.search(r"^stormdesk\s*:", text, re.MULTILINE):
        return Settings(root=root)  # most projects; YAML is not even imported
    import yaml

    try:
        block = msgspec.convert(yaml.safe_load(text)["stormdesk"] or {}, Block)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise UsageError(f"{file}: stormdesk: {' '.join(str(error).split())}") from error
    return Settings(
        root=root,
        origin=str(file),
        checks=_folders(root, block.checks, file),
        runbooks=_folders(root, block.runbooks, file),
        faults=tuple(block.faults),
    )


def _folders(root: Path, names: Sequence[str], file: Path) -> tuple[Path, ...]:
    for name in names:
        if not (root / name).is_dir():
            raise UsageError(f"{file}: stormdesk: {name}: no such folder in {root}")
    return tuple(root / name for name in names)
