"""Which environments there are, the one that is meant, and how its hosts are."""

from __future__ import annotations

import os
from collections.abc import Sequence

from stormdesk import inventory as documents
from stormdesk.errors import RefusedError, UsageError
from stormdesk.infra import backends, home
from stormdesk.infra.backends.lab import processes
from stormdesk.infra.status import Environment, HostStatus
from stormdesk.infra.topology import NAME
from stormdesk.inventory import Inventory


def environments() -> Sequence[Environment]:
    """All environments of this home, and all labs that run on this machine whatever their home."""
    labs = processes.labs()
    names = {d.name for d in home.envs().iterdir() if NAME.fullmatch(d.name)} if home.envs().is_dir() else set()
    return [_environment(name, name in names) for name in sorted(names | set(labs))]


def load(name: str | None) -> Inventory:
    """The inventory of an environment; None: STORMDESK_ENV, else the only one there is.

    UsageError: none, several, or no such; RefusedError: it is not running any more.
    """
    name = name or os.environ.get("STORMDESK_ENV") or _only()
    path = home.directory(name) / "inventory.json"
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
    path = home.directory(name) / "inventory.json"
    known = documents.parse(path.read_bytes(), str(path)) if path.exists() else None
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


def _only() -> str:
    names = [e.name for e in environments() if e.state == "running"]
    if len(names) > 1:
        raise UsageError(f"several environments: {', '.join(names)}. Say which: --env {names[0]}, or set STORMDESK_ENV")
    if not names:
        raise UsageError("no environment is up. Type: invoke env.up")
    return names[0]
