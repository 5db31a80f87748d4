"""chaos.*: faults and their revert."""

from __future__ import annotations

from invoke.collection import Collection

from stormdesk.cli import catalogue, commands, fault_flags
from stormdesk.cli.command import Command, command
from stormdesk.cli.options import JSON, WHERE, Options
from stormdesk.cli.tasks.fault_tasks import fault_task

ABOUT = "{0.title}.\n\nUndo: {0.undo}.\nNeeds on the host: {1}."


@command(
    {**WHERE, **JSON},
    hint="[--host H]",
    help={"host": "what this host can do, by which mechanism, and why not by another or not at all"},
)
def catalog(options: Options, host: str = "") -> int:
    """List faults: parameters, needs, undo. With --host, what that host can do."""
    if host:
        from stormdesk.cli import abilities

        return options.show.report(abilities.abilities(options, host))
    return options.show.report(fault_flags.Catalogue(catalogue.faults()))


@command({**WHERE, **JSON}, hint="[--env N]")
def status(options: Options) -> int:
    """Ask the hosts which faults are in.

    Exit code 5 when one is stuck or a host does not answer."""
    from stormdesk.run import operate

    return options.show.report(operate.status(*options.reach()))


@command(
    {**WHERE, **JSON},
    effect="revert faults on the hosts",
    hint="[--run ID --host H --all]   SAFE AT ANY TIME",
    help={"run": "only this run", "host": "only these hosts", "all_": "everything on all hosts"},
    iterable=["host"],
)
def revert(options: Options, host: list[str], run: str = "", all_: bool = False) -> int:
    """Undo faults now.

    Works from the hosts' own records, so a lost run record does not matter."""
    from stormdesk.run import operate

    show = options.show
    return show.report(operate.revert(*options.reach(), run, host, all_, show))


@command(
    {**WHERE, **JSON},
    effect="revert and clear what dead controllers and reboots left",
    hint="[--all]",
    help={"all_": "also runs of others: armed, guarded and before their deadline"},
)
def recover(options: Options, all_: bool = False) -> int:
    """Finish what a dead controller left."""
    from stormdesk.run import operate

    show = options.show
    return show.report(operate.recover(*options.reach(), all_, show))


@command(
    {**WHERE, **JSON},
    effect="revert all faults and refuse new ones, or with --lift allow them again",
    hint="[--lift]",
    help={"lift": "allow faults again"},
)
def halt(options: Options, lift: bool = False) -> int:
    """Undo everything, refuse new faults."""
    from stormdesk.run import operate

    show = options.show
    return show.report(operate.halt(*options.reach(), lift, show))


def faults() -> list[Command]:
    """A task for each fault of this project."""
    return [
        fault_task(name, fault, commands.attack, fault_flags.COMMON, ABOUT.format(fault, ", ".join(fault.needs)))
        for name, fault in catalogue.faults().items()
    ]


def group() -> Collection:
    """chaos.* in the order of the menu."""
    return Collection("chaos", catalog, *faults(), status, revert, recover, halt)
