"""What a host can do, for `chaos.catalog --host`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormdesk.cli.options import Options
from stormdesk.core.errors import ExitCode
from stormdesk.core.shell import words
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
        found, refused = asking.abilities(
            pool, catalogue.faults(), target,
            lambda name, example: fault_named(name, dict(example.parameters), DEFAULT_RTO_S),
        )  # fmt: skip
    finally:
        pool.close()
    return Abilities(host, found, refused)


@dataclass(frozen=True)
class Abilities:
    """What a host can do, as lines for people or as JSON. `refused` is why it may be no target at all, or ""."""

    host: str
    found: Sequence[Ability]
    refused: str = ""
    exit_code: ExitCode = ExitCode.HELD

    @property
    def lines(self) -> Sequence[str]:
        width = max((len(each.fault) for each in self.found), default=0) + 2
        lines = [f"every fault is refused on it now: {printable(self.refused)}"] if self.refused else []
        for each in self.found:
            first, *more = _described(each, self.host)
            lines.append(f"{each.fault:<{width}}{first}")
            lines += [f"{'':{width}}  {text}" for text in more]
        return lines

    def as_json(self) -> Mapping[str, object]:
        faults = [
            {
                "fault": each.fault,
                "parameters": dict(each.parameters),
                "mechanism": each.mechanism,
                "rejected": [{"mechanism": name, "why": why} for name, why in each.rejected],
                "undo": each.undo,
                "irreversible": each.irreversible,
                "cuts_control": each.cuts_control,
                "refused_unless": each.unless,
                "why_not": each.why_not,
                "untried": each.untried,
            }
            for each in self.found
        ]
        return {"host": self.host, "refused": self.refused, "faults": faults}


def _described(each: Ability, host: str) -> Sequence[str]:
    """The lines of one fault. The command is what was planned here: other parameters may give another answer."""
    flags = [word for name, value in each.parameters.items() for word in (f"--{name.replace('_', '-')}", value)]
    tried = f"tried: invoke chaos.{each.fault} {words(('--host', host, *flags))}"
    if each.untried:
        return [f"not tried: {printable(each.untried)}"]
    if each.why_not:
        return [f"no: {printable(each.why_not)}", *([tried] if each.parameters else [])]
    why, _, flag = each.unless.rpartition("   ")  # a refusal ends with the flag that lifts it
    return [
        f"by {each.mechanism}",
        *(f"not by {name}: {printable(why)}" for name, why in each.rejected),
        f"undo: {printable(each.undo)}",
        *(["cuts our own SSH: the host ends it by itself"] if each.cuts_control else []),
        *([f"only with {flag}: {printable(why.strip())}"] if flag else []),
        printable(tried),
    ]
