"""Which environments exist, which one is meant, and the state of its hosts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from stormdesk.core import inventory as documents
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.infra import backends, home
from stormdesk.infra.backends.lab import processes
from stormdesk.infra.status import Environment, HostStatus
from stormdesk.infra.topology import NAME


def environments() -> Sequence[Environment]:
    """All environments of this home, and all labs that run on this machine, whatever their home.

    Includes those with unreadable files, as far as they are known; see `flaws`.
    """
    labs = processes.labs()
    names = {path.name for path in _entries() if _is_one(path)}
    return [_environment(name, name in names) for name in sorted(names | set(labs))]


def flaws() -> Sequence[str]:
    """Unreadable entries among the environments, one line each: what, why, and what to type."""
    lines = []
    for path in _entries():
        if not NAME.fullmatch(path.name) or not path.is_dir():
            lines.append(f"{path}: no environment. Remove it, or move it elsewhere")
        elif why := home.flaw(path.name) or _known(path.name)[1]:
            lines.append(f"environment {path.name}: {why}. Type: invoke env.down --env {path.name}")
    return lines


def _entries() -> Sequence[Path]:
    return sorted(home.envs().iterdir()) if home.envs().is_dir() else ()


def _is_one(path: Path) -> bool:
    """Whether this is a non-empty folder of an environment. Pulumi's state of a stack alone does not count."""
    if not NAME.fullmatch(path.name) or not path.is_dir():
        return False
    inside = [it for it in path.iterdir() if it.name != "pulumi"]
    return any(not it.is_dir() or any(it.iterdir()) for it in inside)


def load(name: str | None) -> Inventory:
    """The inventory of an environment; None means STORMDESK_ENV, else the only one.

    Raises UsageError when there is none, several, or no such one; RefusedError when it no longer runs.
    """
    name = name or os.environ.get("STORMDESK_ENV") or _only()
    path = home.directory(name) / "inventory.json"
    if not path.exists() and home.read_record(name):
        raise RefusedError(
            f"environment {name} is not complete: what makes it has not ended, or was stopped. "
            f"Type what makes it again, or: invoke env.down --env {name}"
        )
    if not path.exists():
        known = ", ".join(e.name for e in environments()) or "none"
        raise UsageError(f"no environment '{name}' (there is: {known}). Type: invoke env.up --name {name}")
    inventory = documents.parse(path.read_bytes(), str(path))
    if not backends.of(home.read_record(name)).running(name):
        raise RefusedError(f"environment {name} is not running any more. Type: invoke env.down --env {name}")
    return inventory


def status(inventory: Inventory) -> Sequence[HostStatus]:
    """The state of each host of an environment, and whether its sshd and services listen."""
    return backends.of(home.read_record(inventory.environment)).status(inventory)


def _environment(name: str, ours: bool) -> Environment:
    known, _ = _known(name)
    record = home.read_record(name)
    running = backends.of(record).running(name)
    return Environment(
        name=name,
        state="gone" if not running else "running" if ours else "elsewhere",
        backend=record.backend if record else "",
        engine=record.engine if record else "",
        owner=record.owner if record else "",
        expires_at=record.expires_at if record else known.expires_at if known else "",
        hosts=len(known.hosts) if known else 0,
    )


def _known(name: str) -> tuple[Inventory | None, str]:
    """The inventory of an environment, None if it cannot be read, and why not ("" if it can)."""
    path = home.directory(name) / "inventory.json"
    try:
        return (documents.parse(path.read_bytes(), "its inventory.json"), "") if path.exists() else (None, "")
    except (OSError, UsageError) as error:
        return None, str(error)


def _only() -> str:
    names = [e.name for e in environments() if e.state == "running"]
    if len(names) > 1:
        raise UsageError(f"several environments: {', '.join(names)}. Say which: --env {names[0]}, or set STORMDESK_ENV")
    if not names:
        raise UsageError("no environment is up. Type: invoke env.up")
    return names[0]
