"""What a host can do, for `chaos.catalog --host`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormdesk.cli.options import Options
from stormdesk.core.errors import ExitCode
from stormdesk.core.values import printable

if TYPE_CHECKING:
    from stormdesk.run.abilities import Ability


def abilities(options: Options, host: str) -> Abilities:
    """What this host can do. Raises UsageError for a name that no host has, TransportError where it does not answer."""
    from stormdesk.cli import catalogue
    from stormdesk.cli.api import fault_named
    from stormdesk.run import abilities as asking
    from stormdesk.run.request import DEFAULT_RTO_S
    from stormdesk.ssh.pool import Pool

    inventory, dialer = options.reach()
    target = inventory.host(host)
    pool = Pool(inventory, dialer)
    try:
        found = asking.abilities(
            pool, catalogue.faults(), target,
            lambda name, example: fault_named(name, dict(example.parameters), DEFAULT_RTO_S),
        )  # fmt: skip
    finally:
        pool.close()
    return Abilities(host, found)


@dataclass(frozen=True)
class Abilities:
    """What a host can do, as lines for people or as JSON."""

    host: str
    found: Sequence[Ability]
    exit_code: ExitCode = ExitCode.HELD

    @property
    def lines(self) -> Sequence[str]:
        width = max((len(each.fault) for each in self.found), default=0) + 2
        lines: list[str] = []
        for each in self.found:
            if each.why_not:
                lines.append(f"{each.fault:<{width}}no: {printable(each.why_not)}")
                continue
            lines.append(f"{each.fault:<{width}}by {each.mechanism}{', cannot be undone' if each.irreversible else ''}")
            lines += [f"{'':{width}}  not by {name}: {printable(why)}" for name, why in each.rejected]
        return lines

    def as_json(self) -> Mapping[str, object]:
        faults = [
            {
                "fault": each.fault,
                "mechanism": each.mechanism,
                "rejected": [{"mechanism": name, "why": why} for name, why in each.rejected],
                "irreversible": each.irreversible,
                "why_not": each.why_not,
            }
            for each in self.found
        ]
        return {"host": self.host, "faults": faults}
