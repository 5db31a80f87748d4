"""The status of environments and hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment, as `env.list` shows it.

    `state` is running, gone (expired, killed, or never finished), or elsewhere: running, but in another STORMDESK_HOME.
    """

    name: str
    state: str
    backend: str
    engine: str
    owner: str
    expires_at: str
    hosts: int


@dataclass(frozen=True, kw_only=True)
class HostStatus:
    """One host, as `env.status` shows it. `state`: up, off, starting, failed, unreachable, or `unusable: ` and why.

    `boots` counts its starts, None where they are not counted; `services` says which ones listen, as far as known.
    """

    name: str
    role: str
    address: str
    state: str
    boots: int | None
    ssh: bool
    services: Mapping[str, bool]
