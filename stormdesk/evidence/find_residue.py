"""Looks for what Stormdesk may have left on hosts. Asks the hosts themselves, with no code of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence.cut.lines import Residue
from stormdesk.host.scripts import probe
from stormdesk.ssh.parallel import READ_S, Run, each

ACTIVE, MARK = "active ", "mark "


def look(
    run: Run,
    inventory: Inventory,
    diffs: Mapping[str, Sequence[str]] | None = None,
    own_run: str = "",
    before: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Residue]:
    """What is left on each host; one that does not answer is left out. `diffs` is what a revert left,
    `own_run` the id of the run that asks: what it left is residue even while its watchdog still lives.

    `before` are the marks that hosts had before the run: a link that is down since then is not ours. A mark that has come
    since is; without `before`, or where a host did not answer then, no mark is, since anybody may have made it.
    """

    def one(name: str) -> Residue:
        done = run(name, probe("residue", own_run, *inventory.hosts[name].paths.values()), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        lines = done.stdout.splitlines()
        others, marks = _after(ACTIVE, lines), _after(MARK, lines)
        # A host that its run has verified needs no marks: its pictures tell whose each change was.
        fresh = tuple(
            mark
            for mark in marks
            if name not in (diffs or {}) and name in (before or {}) and mark not in (before or {})[name]
        )
        ours = (*(line for line in lines if not line.startswith((ACTIVE, MARK))), *fresh)
        diff = tuple((diffs or {}).get(name, ()))
        not_ours = tuple(mark for mark in marks if mark not in fresh)
        return Residue(clean=not ours and not diff, ours=ours, diff=diff, others=others, marks=not_ours)

    answers = each(inventory.hosts, one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}


def marks(run: Run, inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """The marks that each host has now, before a run: `look` takes them as `before`."""
    return {name: found.marks for name, found in look(run, inventory).items()}


def _after(word: str, lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line.removeprefix(word) for line in lines if line.startswith(word))
