"""Common to all faults on one process: the parameters that select it. Not a fault itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Site
from stormdesk.core.model import Argv
from stormdesk.host import targets
from stormdesk.mechanism.selecting import selector


@dataclass(frozen=True)
class Targeting:
    """One process, by service, pid file, or text in its command line."""

    name: ClassVar[str]

    service: str = field(default="", metadata={"help": "a service of the host, e.g. trader"})
    pidfile: str = field(default="", metadata={"help": "a file that holds the pid"})
    pattern: str = field(
        default="", metadata={"help": "plain text in the command line; must select exactly one process"}
    )

    def selector(self, site: Site) -> tuple[str, str]:
        """(how, what). UsageError unless exactly one is given and is allowed."""
        return selector(self.name, self.service, self.pidfile, self.pattern, site)

    def manager(self, site: Site) -> str:
        """The manager of the service that the inventory names, or ""."""
        return targets.named_manager(self.service, site)

    def words(self, site: Site) -> Argv:
        """The arguments of `sd_processes` and similar verbs."""
        return (*self.selector(site), self.manager(site))
