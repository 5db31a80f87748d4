"""The demo: an environment, a fault, the proof that it healed, and no residue."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stormdesk.cli.commands import watch
from stormdesk.cli.show import Show
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.faults import DEMO
from stormdesk.infra import dialing, environment
from stormdesk.run import runner
from stormdesk.run.request import Request, one

HOST, HOLD_S, TTL_S = "trader-a", 20.0, 1800.0


def run(name: str, show: Show) -> int:
    """Create environment `name`, inject the fault on trader-a, and always take it down. Returns the run's exit code."""
    show.say(f"demo: an environment of its own, then {DEMO.name} on {HOST} for {HOLD_S:.0f}s, checks, report")
    with _environment(name, show) as inventory:
        request = Request(
            one(DEMO, (HOST,), HOLD_S), seed=secrets.randbelow(2**32), argv=tuple(sys.argv[1:])
        )
        return int(runner.run(request, inventory, dialing.dialer(inventory), show, watch).exit_code)


@contextmanager
def _environment(name: str, show: Show) -> Iterator[Inventory]:
    try:
        inventory = environment.up(name, "core", "lab", "auto", TTL_S, show.say)
    except (RefusedError, UsageError):
        raise  # nothing was created; an environment of that name is not ours
    except BaseException:
        environment.down(name, show.say)
        raise
    try:
        yield inventory
    finally:
        environment.down(name, show.say)
