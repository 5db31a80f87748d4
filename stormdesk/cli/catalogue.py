"""All faults: the catalogue's, and plugins from modules in invoke.yaml and from packages (entry point `stormdesk.faults`).

A broken plugin must never block a revert: it is left out, with one line that says why. So are faults with the same name.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.values import printable
from stormdesk.faults import FAULTS
from stormdesk.run import settings

GROUP = "stormdesk.faults"
NEEDED = ("title", "undo", "needs", "may_cut_control", "probes", "plan")


@dataclasses.dataclass(frozen=True)
class Found:
    """The usable faults, and why others are left out, one line each."""

    faults: Mapping[str, type[Fault]]
    problems: tuple[str, ...] = ()


def faults() -> Mapping[str, type[Fault]]:
    """The faults of this project, by name."""
    return found().faults


def everything() -> Mapping[str, type[Fault]]:
    """The faults of this project and, as `venue.<name>`, those of the venue."""
    from stormdesk.desk.venue_faults import venue_faults  # costs more than the rest of the catalogue

    return {**faults(), **venue_faults()}


def named(name: str) -> type[Fault]:
    """The fault of that name, the venue's too. UsageError suggests the nearest, and names those left out."""
    known = everything() if name not in faults() else faults()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean: {near[0]}?" if near else f"There is: {', '.join(known)}"
    raise UsageError("; ".join([f"no fault '{printable(name)}'. {hint}", *found().problems]))


def found() -> Found:
    """All faults. Never raises because of a plugin."""
    return _found(Path.cwd())


@cache
def _found(here: Path) -> Found:
    del here  # the settings depend on this directory
    known: dict[str, tuple[type[Fault], str]] = {name: (kind, kind.__module__) for name, kind in FAULTS.items()}
    problems: list[str] = []
    twice: set[str] = set()
    for origin, name, kind in _own(problems):
        if wrong := _wrong(name, kind):
            problems.append(f"{origin}: {wrong}; it is left out")
        elif name in known:
            twice.add(name)
            problems.append(
                f"two faults are called {name}: {known[name][1]} and {origin}. Rename one; until then both are left out"
            )
        else:
            known[name] = kind, origin
    return Found(
        {name: kind for name, (kind, _) in known.items() if name not in twice}, tuple(map(printable, problems))
    )


def _own(problems: list[str]) -> Iterator[tuple[str, str, Any]]:
    """(source, name, class) of all plugins' faults."""
    try:
        project = settings.load()
    except UsageError as error:
        problems.append(str(error))
        return
    if project.faults and str(project.root) not in sys.path:
        sys.path.insert(0, str(project.root))
    for module in project.faults:
        origin = f"{module} (in {project.origin})"
        try:
            items = dict(importlib.import_module(module).FAULTS)
        except Exception as error:  # noqa: BLE001 -- whatever a plugin does when it is imported
            problems.append(f"{origin}: {_said(error)}; its faults are left out")
            continue
        yield from ((origin, str(name), kind) for name, kind in items.items())
    if not _announced():
        return
    from importlib.metadata import entry_points  # costs more than all the rest

    for entry in entry_points(group=GROUP):
        origin = f"{entry.value} (of package {entry.dist.name if entry.dist else 'unknown'})"
        try:
            kind = entry.load()
        except Exception as error:  # noqa: BLE001 -- as above
            problems.append(f"{origin}: {_said(error)}; it is left out")
            continue
        yield origin, entry.name, kind


def _announced() -> bool:
    """Whether any installed package has the entry point."""
    files = (file for folder in sys.path for file in Path(folder or ".").glob("*.dist-info/entry_points.txt"))
    return any(f"[{GROUP}]" in file.read_text(errors="replace") for file in files)


def _wrong(name: str, kind: Any) -> str:
    """Why this is not a valid fault, or ""."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return f"fault {name} is no dataclass"
    if missing := [part for part in NEEDED if not hasattr(kind, part)]:
        return f"fault {name} has no {', '.join(missing)}"
    if getattr(kind, "name", "") != name:
        return f"fault {name} calls itself {getattr(kind, 'name', 'nothing')}"
    unexplained = [field.name for field in dataclasses.fields(kind) if "help" not in field.metadata]
    return f"parameter {unexplained[0]} of fault {name} has no help in its metadata" if unexplained else ""


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
