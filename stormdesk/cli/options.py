"""The options common to tasks: which hosts, and the form of the output. `@command(WHERE | JSON)` adds them to a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormdesk.cli import fault_flags
from stormdesk.cli.fault_flags import COMMON, TARGETS
from stormdesk.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from stormdesk.cli.show import Show
    from stormdesk.core.inventory import Inventory
    from stormdesk.core.safety import Allow
    from stormdesk.core.values import FaultCount, HostCount, Share
    from stormdesk.ssh.transport import Dialer

WHERE: Mapping[str, str] = {name: text for name, (_, text) in TARGETS.items()}
ENV: Mapping[str, str] = {"env": WHERE["env"]}
JSON: Mapping[str, str] = {"json": COMMON["json"][1]}
LIMITS = ("allow_irreversible", "allow_role_share", "allow_hosts", "allow_faults", "allow_no_boot_hook")  # that a runbook may need lifted
ALLOW: Mapping[str, str] = {name: COMMON[name][1] for name in LIMITS}


@dataclass(frozen=True)
class Options:
    """The values of the common options; those that a task does not have are at their defaults."""

    env: str = ""
    inventory: str = ""
    json: bool = False
    allow_irreversible: bool = False
    allow_role_share: Share | None = None
    allow_hosts: HostCount | None = None
    allow_faults: FaultCount | None = None
    allow_no_boot_hook: bool = False

    @property
    def allow(self) -> Allow:
        """The limits that are lifted."""
        return fault_flags.allow_of({name: getattr(self, name) for name in LIMITS})

    @property
    def show(self) -> Show:
        """The presenter for this process's streams."""
        from stormdesk.cli.show import Show

        return Show.auto(as_json=self.json)

    def hosts(self) -> Inventory:
        """The selected hosts. Raises UsageError, or RefusedError when they are gone."""
        from stormdesk.infra import existing

        if self.env and self.inventory:
            raise UsageError("--env and --inventory both say where. Use one of them")
        if not self.inventory:
            return existing.load(self.env or None)
        from stormdesk.cli import sources

        return sources.read(self.inventory)

    def reach(self) -> tuple[Inventory, Dialer]:
        """The selected hosts, and a dialer for them. Raises the errors of `hosts()`."""
        from stormdesk.infra import dialing

        found = self.hosts()
        return found, dialing.dialer(found)

    def files(self, found: Inventory) -> Path:
        """The folder of the ssh files of these hosts."""
        from stormdesk.infra import home

        return home.noted(found) if self.inventory else home.directory(found.environment)
