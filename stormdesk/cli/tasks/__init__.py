"""The tasks, a file for each group. No logic here: parse, one library call, print."""

from __future__ import annotations

import sys

from invoke.collection import Collection


def build(*, checkout: bool = False) -> Collection:
    """All tasks of this project; in a checkout those of who works on Stormdesk, too."""
    sys.dont_write_bytecode = sys.flags.dont_write_bytecode > 0  # invoke turns it on: each start would compile us again

    from stormdesk.cli import front
    from stormdesk.cli.tasks import chaos, check, dev, env, gameday, stack, start, venue

    front.take_over()
    groups = [env.group(), chaos.group(), venue.group(), check.group(), gameday.group(), stack.group()]
    ns = Collection(start.doctor, start.demo)
    for group in [*groups, dev.group()] if checkout else groups:
        ns.add_collection(group)
    return ns
