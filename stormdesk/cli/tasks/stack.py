"""stack.*: operators' commands on the trading stack."""

from __future__ import annotations

from invoke.collection import Collection

from stormdesk.cli.command import command
from stormdesk.cli.commands import at_the_desk
from stormdesk.cli.options import JSON, WHERE, Options

HOSTS = {**WHERE, **JSON}
BY = {"by": "the name of the responsible person"}


@command(HOSTS, hint="[--env N]")
def health(options: Options) -> int:
    """Show the health documents of guards and orchestrator.

    Exit code 1 when a component fails or the desk is paused; 3 when one of them does not answer."""
    from stormdesk.desk import operators

    return at_the_desk(operators.health, options)


@command(
    HOSTS,
    hint="[--service S --name trader_]",
    help={"service": "only this service", "name": "only samples whose name starts with this"},
)
def metrics(options: Options, service: str = "", name: str = "") -> int:
    """Print the services' metrics."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.metrics(pool, service, name), options)


@command(
    HOSTS,
    effect="restart {service} by its supervisor, one host at a time",
    hint="--service S [--host H]",
    help={"service": "which, e.g. trader", "host": "only on these hosts"},
    iterable=["host"],
)
def restart(options: Options, host: list[str], service: str = "") -> int:
    """Restart a service.

    Each host waits until the previous one answers again."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.restart(pool, service, host), options)


@command(
    HOSTS,
    effect="pull the kill switch of all traders, or with --off reset it",
    hint="--on|--off --by NAME",
    help={**BY, "on": "no new orders, and cancel all", "off": "allow orders again", "reason": "why"},
)
def kill_switch(options: Options, on: bool = False, off: bool = False, by: str = "", reason: str = "") -> int:
    """Stop all trading, or end that.

    Blocks new orders, cancels those at the venue and verifies that none is open. For a dead trader, its guard does it."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.kill_switch(pool, on, off, by, reason), options)


@command(
    HOSTS,
    effect="let hosts that are in FAILSAFE trade again",
    hint="--by NAME [--host H]",
    help={**BY, "host": "only these hosts"},
    iterable=["host"],
)
def clear_failsafe(options: Options, host: list[str], by: str = "") -> int:
    """Take hosts out of FAILSAFE."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.clear_failsafe(pool, by, host), options)


@command(
    HOSTS,
    effect="close the circuit breakers of all traders",
    hint="[--symbol S]",
    help={"symbol": "only this one"},
)
def reset_breakers(options: Options, symbol: str = "") -> int:
    """Close the circuit breakers."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.reset_breakers(pool, symbol), options)


@command(
    HOSTS,
    effect="let strategies trade again that have signalled too often",
    hint="--by NAME [--strategy S]",
    help={**BY, "strategy": "only this one"},
)
def reset_repeats(options: Options, by: str = "", strategy: str = "") -> int:
    """Open the gate of a runaway strategy."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.reset_repeats(pool, by, strategy), options)


@command(
    HOSTS,
    effect="compare the leader's books with the venue's; with --accept, adopt the venue's",
    hint="[--accept rollback|balance --by NAME]",
    help={**BY, "accept": "rollback: trades that the venue voided; balance: a balance that differs from ours"},
)
def reconcile(options: Options, accept: str = "", by: str = "") -> int:
    """Compare the books with the venue's.

    An unexplained difference stops trading until a person accepts it."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.reconcile(pool, accept, by), options)


@command(HOSTS, effect="let no trader open new orders", hint="--by NAME [--reason R]", help={**BY, "reason": "why"})
def pause(options: Options, by: str = "", reason: str = "") -> int:
    """Pause the desk until somebody resumes."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.pause(pool, by, reason), options)


@command(HOSTS, effect="let the desk trade again", hint="--by NAME", help=BY)
def resume(options: Options, by: str = "") -> int:
    """Let the desk trade again.

    Answers every open alert. Kill switches stay as they are: stack.kill-switch --off."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.resume(pool, by), options)


@command(
    HOSTS,
    effect="pause the desk and pull every kill switch",
    hint="--by NAME [--reason R]",
    help={**BY, "reason": "why"},
)
def abort(options: Options, by: str = "", reason: str = "") -> int:
    """Pause and cancel everything."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.abort(pool, by, reason), options)


def group() -> Collection:
    """stack.* in the order of the menu."""
    return Collection(
        "stack",
        *(health, metrics, restart, kill_switch, clear_failsafe, reset_breakers),
        *(reset_repeats, reconcile, pause, resume, abort),
    )
