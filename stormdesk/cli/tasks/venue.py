"""venue.*: the exchange's own faults."""

from __future__ import annotations

from invoke.collection import Collection

from stormdesk.cli import commands, fault_flags
from stormdesk.cli.command import Command, command
from stormdesk.cli.options import JSON, WHERE, Options
from stormdesk.cli.tasks.fault_tasks import fault_task

ABOUT = "{0.title}.\n\n{0.__doc__}\nUndo: the venue is asked to end it; it ends by itself at its deadline."


@command(JSON)
def catalog(options: Options) -> int:
    """List the venue's own faults."""
    from stormdesk.desk.venue_faults import venue_faults

    return options.show.report(fault_flags.Catalogue(venue_faults()))


@command({**WHERE, **JSON}, hint="[--env N]")
def guest(options: Options) -> int:
    """Print what a bot of yours needs to trade here.

    The account is not part of the desk: no invariant covers its orders."""
    from stormdesk.desk import operators

    return commands.at_the_desk(operators.guest, options)


def faults() -> list[Command]:
    """A task for each of the venue's own faults; the class for a run is created when it runs."""
    from stormdesk.testnet.venue.faults import FAULTS

    return [
        fault_task(name, fault, commands.attack_venue, fault_flags.VENUE, ABOUT.format(fault))
        for name, fault in FAULTS.items()
    ]


def group() -> Collection:
    """venue.* in the order of the menu."""
    return Collection("venue", catalog, guest, *faults())
