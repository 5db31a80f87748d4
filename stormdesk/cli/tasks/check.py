"""check.*: the proof."""

from __future__ import annotations

from invoke.collection import Collection

from stormdesk.cli.command import command
from stormdesk.cli.commands import check
from stormdesk.cli.options import JSON, WHERE, Options

CUT = "hold new orders for a moment, so that all sources can be read at one instant"


@command({**WHERE, **JSON}, hint="[--env N]")
def steady(options: Options) -> int:
    """Does the steady state hold?"""
    return check(["steady"], options)


@command({**WHERE, **JSON}, effect=CUT, hint="[--env N]")
def invariants(options: Options) -> int:
    """Do orders, positions, ledger agree?

    Holds new orders until those in flight are done (20 s at most), reads all sources, and lets trading go on.
    """
    return check(["invariants"], options)


@command({**WHERE, **JSON}, hint="[--env N]")
def residue(options: Options) -> int:
    """Is anything of ours left on a host?"""
    return check(["residue"], options)


@command({**WHERE, **JSON}, name="all", effect=CUT, hint="[--env N]")
def everything(options: Options) -> int:
    """All checks."""
    return check(["steady", "invariants", "residue"], options)


def group() -> Collection:
    """check.* in the order of the menu."""
    return Collection("check", steady, invariants, residue, everything)
