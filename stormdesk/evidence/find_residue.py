"""Looks for what Stormdesk may have left on hosts. Asks the hosts themselves, with no code of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence.cut.lines import Residue
from stormdesk.host.scripts import probe
from stormdesk.ssh.parallel import READ_S, Run, each

ACTIVE = "active "


def look(
    run: Run, inventory: Inventory, diffs: Mapping[str, Sequence[str]] | None = None, own_run: str = ""
) -> dict[str, Residue]:
    """What is left on each host; one that does not answer is left out. `diffs` is what a fingerprint found changed,
    `own_run` the id of the run that asks: what it left is residue even while its watchdog still lives."""

    def one(name: str) -> Residue:
        done = run(name, probe("residue", own_run, *inventory.hosts[name].paths.values()), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        found = [(line.startswith(ACTIVE), line) for line in done.stdout.splitlines()]
        ours = tuple(line for active, line in found if not active)
        others = tuple(line.removeprefix(ACTIVE) for active, line in found if active)
        diff = tuple((diffs or {}).get(name, ()))
        return Residue(clean=not ours and not diff, ours=ours, diff=diff, others=others)

    answers = each(inventory.hosts, one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}
