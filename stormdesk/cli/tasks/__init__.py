"""The tasks, one file per group. No logic: parse, one library call, print."""

from __future__ import annotations

import sys

from invoke.collection import Collection


def build(*, checkout: bool = False) -> Collection:
    """All tasks of this project; in a checkout, also those of developers."""
    sys.dont_write_bytecode = sys.flags.dont_write_bytecode > 0  # invoke sets it, and each start would compile us again

    from stormdesk.cli import front
    from stormdesk.cli.tasks import chaos, check, dev, env, gameday, stack, start, venue

    front.take_over()
    groups = [env.group(), chaos.group(), venue.group(), check.group(), gameday.group(), stack.group()]
    ns = Collection(start.doctor, start.demo)
    for group in [*groups, dev.group()] if checkout else groups:
        ns.add_collection(group)
    return ns
