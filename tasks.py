"""The command line: `invoke --list`. No logic here: parse, one library call, print."""

from __future__ import annotations

import sys

sys.dont_write_bytecode = False  # invoke turns it on, and then every start would compile our modules again

from dataclasses import asdict  # noqa: E402

from invoke.collection import Collection  # noqa: E402
from invoke.context import Context  # noqa: E402

from stormdesk.cli.commands import (  # noqa: E402
    at_the_desk,
    attack,
    attack_venue,
    check,
    exported,
    game_day,
    host_states,
    one_environment,
    one_host,
    reach,
    report_again,
)
from stormdesk.cli.fault_flags import TARGETS, Catalogue  # noqa: E402
from stormdesk.cli.front import PLAN_HELP, command, fault_commands, show, venue_commands  # noqa: E402
from stormdesk.core.values import Count, Lifetime, Percent, Seed  # noqa: E402

CUT = "hold new orders for a moment, so that all sources can be read at one instant"
TWO_HOURS, MINUTE, KILLS, SEED, ALL = Lifetime("2h"), Lifetime("60s"), Count(200), Seed(0), Percent(100)
ENV = {"env": TARGETS["env"][1]}
WHERE = {name: text for name, (_, text) in TARGETS.items()}
JSON = {"json": "one JSON object on stdout, all else on stderr"}
BY = {"by": "the name of the person who answers for it"}


# ---- start here ------------------------------------------------------------------------------------------------------


@command(
    hint="[--host H]   START HERE",
    help={
        **WHERE,
        **JSON,
        "host": "check SSH to this host too",
        "install": "pulumi: download or build the Pulumi engine, when there is none",
        "plan": PLAN_HELP,
    },
)
def doctor(
    _: Context,
    host: str = "",
    env: str = "",
    inventory: str = "",
    install: str = "",
    plan: bool = False,
    json: bool = False,
) -> int:
    """Check this machine and say how to fix it."""
    from stormdesk.cli import doctor as examination

    if install:
        return examination.install(install, plan, show(json))
    return examination.examine(host, env, inventory, show(json))


@command(
    effect="create environment {name}, fill the disk of trader-a for 20s, check, and take it down",
    hint="[--name N]",
    help={**JSON, "name": "of the environment; it is taken down again"},
    waits=True,
)
def demo(_: Context, name: str = "demo", json: bool = False) -> int:
    """See it once: lab, full disk, proof, report."""
    from stormdesk.cli import demo as story

    return story.run(name, show(json))


# ---- env: ephemeral environments -------------------------------------------------------------------------------------


@command(
    effect="create environment {name}: {topology}, backend {backend}, for {ttl}",
    hint="[--name N --ttl 2h]",
    help={
        "name": "of the environment: lower-case letters, digits and -",
        "topology": "core, full (with Kafka), or scale:<hosts>",
        "backend": "lab: Linux namespaces on this machine; docker: containers; swarm: services over several machines",
        "engine": "auto (pulumi when it is there, else direct), pulumi, direct",
        "ttl": "it goes away by itself after this",
        "resilience": "a file in YAML: numbers of testnet/resilience.yaml to be others here",
    },
    waits=True,
)
def up(
    _: Context,
    name: str = "demo",
    topology: str = "core",
    backend: str = "lab",
    engine: str = "auto",
    ttl: Lifetime = TWO_HOURS,
    resilience: str = "",
) -> None:
    """Create an environment that trades."""
    from stormdesk.infra import environment

    numbers = environment.read_numbers(resilience) if resilience else None
    environment.up(name, topology, backend, engine, float(ttl), show(False).say, numbers)


@command(hint="[--env N]", help={**WHERE, **JSON})
def status(_: Context, env: str = "", inventory: str = "", json: bool = False) -> None:
    """Show hosts and services."""
    show(json).rows("hosts", [asdict(host) for host in host_states(env, inventory)])


@command(name="list", help=JSON)
def list_(_: Context, json: bool = False) -> None:
    """List environments."""
    from stormdesk.infra import environment

    show(json).rows("environments", [asdict(item) for item in environment.listing(show(json).say)])


@command(hint="--format ssh-config|ansible|json", help={**WHERE, "format_": "ssh-config, ansible or json"})
def export(_: Context, env: str = "", inventory: str = "", format_: str = "ssh-config") -> None:
    """Print how to reach the hosts."""
    print(exported(env, inventory, format_), end="")


@command(effect="open a shell on {host}", hint="--host H", help={**WHERE, "host": "which host"})
def ssh(_: Context, host: str = "", env: str = "", inventory: str = "") -> None:
    """Open a shell on a host."""
    from stormdesk.infra import access

    access.ssh(*one_host(host, env, inventory))


@command(
    name="exec",
    effect="run {command} on {host}",
    hint="--host H --command C",
    help={**WHERE, "host": "which host", "command": "one shell command"},
)
def exec_(_: Context, host: str = "", command: str = "", env: str = "", inventory: str = "") -> int:
    """Run a command on a host.

    Its exit code is ours."""
    from stormdesk.infra import access

    return access.execute(*one_host(host, env, inventory), command)


@command(
    hint="[--mend]",
    effect="read the hosts, networks, volumes and services of the environment",
    help={**ENV, **JSON, "mend": "bring back what is not as declared"},
)
def drift(_: Context, env: str = "", mend: bool = False, json: bool = False) -> int:
    """Compare what is with what was declared.

    Exit code 1 when something differs, as after a fault that nobody took out.
    """
    from stormdesk.cli.commands import drifted

    return drifted(env, mend, json)


@command(effect="break the lock on the state of {env}", hint="--env N", help=ENV)
def unlock(_: Context, env: str = "") -> None:
    """Break the lock of a dead engine."""
    from stormdesk.infra import engine

    engine.unlock(one_environment(env), show(False).say)


@command(effect="take the environment down and remove what it left", hint="[--env N]", help=ENV)
def down(_: Context, env: str = "") -> None:
    """Take an environment down.

    Works in whatever state it is, and twice."""
    from stormdesk.infra import environment

    environment.down(one_environment(env), show(False).say)


@command(effect="remove what environments that ended have left")
def reap(_: Context) -> None:
    """Remove what ended environments left."""
    from stormdesk.infra import environment

    environment.reap(show(False).say)


# ---- chaos: faults, and the way back ---------------------------------------------------------------------------------


@command(help=JSON)
def catalog(_: Context, json: bool = False) -> None:
    """List faults: parameters, needs, undo."""
    from stormdesk.cli import catalogue

    show(json).report(Catalogue(catalogue.faults()))


@command(name="status", hint="[--env N]", help={**WHERE, **JSON})
def faults_in(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Ask the hosts which faults are in.

    Exit code 5 when one is stuck or a host does not answer."""
    from stormdesk.run import operate

    return show(json).report(operate.status(*reach(env, inventory)))


@command(
    effect="revert faults on the hosts",
    hint="[--run ID --host H --all]   SAFE AT ANY TIME",
    help={**WHERE, **JSON, "run": "only this run", "host": "only these hosts", "all_": "everything on all hosts"},
    iterable=["host"],
)
def revert(
    _: Context,
    host: list[str],
    run: str = "",
    all_: bool = False,
    env: str = "",
    inventory: str = "",
    json: bool = False,
) -> int:
    """Undo faults now.

    Works from what the hosts themselves know, so a lost record is no obstacle."""
    from stormdesk.run import operate

    presenter = show(json)
    return presenter.report(operate.revert(*reach(env, inventory), run, host, all_, presenter))


@command(
    effect="finish what dead controllers and reboots left",
    hint="[--all]",
    help={**WHERE, **JSON, "all_": "also what is armed, guarded and before its deadline: somebody else's run"},
)
def recover(_: Context, all_: bool = False, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Finish what a dead controller left."""
    from stormdesk.run import operate

    presenter = show(json)
    return presenter.report(operate.recover(*reach(env, inventory), all_, presenter))


@command(
    effect="revert all faults and refuse new ones, or with --lift allow them again",
    hint="[--lift]",
    help={**WHERE, **JSON, "lift": "allow faults again"},
)
def halt(_: Context, lift: bool = False, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Undo everything, refuse new faults."""
    from stormdesk.run import operate

    presenter = show(json)
    return presenter.report(operate.halt(*reach(env, inventory), lift, presenter))


# ---- venue: the exchange's own faults --------------------------------------------------------------------------------
@command(name="catalog", help=JSON)
def venue_catalog(_: Context, json: bool = False) -> None:
    """List the venue's own faults."""
    from stormdesk.desk.venue_faults import venue_faults

    show(json).report(Catalogue(venue_faults()))


@command(name="guest", hint="[--env N]", help={**WHERE, **JSON})
def venue_guest(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Print what a bot of yours needs to trade here.

    The account is no part of the desk: no invariant asks for its orders."""
    from stormdesk.desk import operators

    return at_the_desk(operators.guest, env, inventory, json)


# ---- check: the proof ------------------------------------------------------------------------------------------------
@command(name="steady", hint="[--env N]", help={**WHERE, **JSON})
def check_steady(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Is the steady state as it should be?"""
    return check(["steady"], env, inventory, json)


@command(name="invariants", effect=CUT, hint="[--env N]", help={**WHERE, **JSON})
def check_invariants(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Do orders, positions, ledger agree?

    Holds new orders until those in flight are done (20 s at most), reads all sources, and lets trading go on.
    """
    return check(["invariants"], env, inventory, json)


@command(name="residue", hint="[--env N]", help={**WHERE, **JSON})
def check_residue(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """Is anything of ours left on a host?"""
    return check(["residue"], env, inventory, json)


@command(name="all", effect=CUT, hint="[--env N]", help={**WHERE, **JSON})
def check_all(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """All checks."""
    return check(["steady", "invariants", "residue"], env, inventory, json)


# ---- gameday: runbooks -----------------------------------------------------------------------------------------------
@command(name="list", help=JSON)
def runbooks(_: Context, json: bool = False) -> None:
    """List the runbooks."""
    from stormdesk.cli import runbooks

    books = [(path, runbooks.read(path)) for path in runbooks.known()]
    show(json).rows("runbooks", [{"runbook": p.stem, "scenario": b.scenario, "title": b.title} for p, b in books])


@command(
    name="run",
    effect="run the game day {runbook}",
    hint="--runbook R [--env N] [--abort-on-fail]",
    help={
        **WHERE,
        **JSON,
        "runbook": "a file, or its name in runbooks/",
        "seed": "of its random choices; default: random",
        "abort_on_fail": "if it fails, pause the desk and pull every kill switch, as stack.abort does",
    },
    kinds={"seed": Seed},
)
def play(
    _: Context,
    runbook: str = "",
    env: str = "",
    inventory: str = "",
    seed: Seed | None = None,
    abort_on_fail: bool = False,
    json: bool = False,
) -> int:
    """Run a runbook.

    It never asks. Ctrl-C ends it in order (exit code 4) and is no failure."""
    return game_day(runbook, env, inventory, seed, json, abort_on_fail=abort_on_fail)


@command(
    name="report",
    effect="write the report of run {run} again",
    hint="--run ID",
    help={"run": "the id of a run in runs/"},
)
def write_report(_: Context, run: str = "") -> None:
    """Write a run's report again."""
    print(report_again(run))


# ---- stack: what operators do with the trading stack -----------------------------------------------------------------
@command(name="health", hint="[--env N]", help={**WHERE, **JSON})
def stack_health(_: Context, env: str = "", inventory: str = "", json: bool = False) -> int:
    """What the guards and the orchestrator say.

    Exit code 1 when something is not well, or the desk is paused; 3 when one of them does not answer."""
    from stormdesk.desk import operators

    return at_the_desk(operators.health, env, inventory, json)


@command(
    name="metrics",
    hint="[--service S --name trader_]",
    help={**WHERE, **JSON, "service": "only this service", "name": "only samples whose name starts so"},
)
def stack_metrics(
    _: Context, service: str = "", name: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Print the services' metrics."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.metrics(pool, service, name), env, inventory, json)


@command(
    name="restart",
    effect="restart {service} by its supervisor, host after host",
    hint="--service S [--host H]",
    help={**WHERE, **JSON, "service": "which, e.g. trader", "host": "only on these hosts"},
    iterable=["host"],
)
def stack_restart(
    _: Context, host: list[str], service: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Restart a service.

    Each host when the one before answers again."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.restart(pool, service, host), env, inventory, json)


@command(
    name="kill-switch",
    effect="pull the kill switch of all traders, or with --off reset it",
    hint="--on|--off --by NAME",
    help={**WHERE, **JSON, **BY, "on": "no new orders, and cancel all", "off": "allow orders again", "reason": "why"},
)
def stack_kill_switch(
    _: Context,
    on: bool = False,
    off: bool = False,
    by: str = "",
    reason: str = "",
    env: str = "",
    inventory: str = "",
    json: bool = False,
) -> int:
    """Stop all trading, or end that.

    Blocks new orders, cancels those at the venue and looks that none is open. The guard does it where a trader is dead."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.kill_switch(pool, on, off, by, reason), env, inventory, json)


@command(
    name="clear-failsafe",
    effect="let hosts that are in FAILSAFE trade again",
    hint="--by NAME [--host H]",
    help={**WHERE, **JSON, **BY, "host": "only these hosts"},
    iterable=["host"],
)
def stack_clear_failsafe(
    _: Context, host: list[str], by: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Take hosts out of FAILSAFE."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.clear_failsafe(pool, by, host), env, inventory, json)


@command(
    name="reset-breakers",
    effect="close the circuit breakers of all traders",
    hint="[--symbol S]",
    help={**WHERE, **JSON, "symbol": "only this one"},
)
def stack_reset_breakers(_: Context, symbol: str = "", env: str = "", inventory: str = "", json: bool = False) -> int:
    """Close the circuit breakers."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.reset_breakers(pool, symbol), env, inventory, json)


@command(
    name="reset-repeats",
    effect="let strategies trade again that have signalled too often",
    hint="--by NAME [--strategy S]",
    help={**WHERE, **JSON, **BY, "strategy": "only this one"},
)
def stack_reset_repeats(
    _: Context, by: str = "", strategy: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Open the gate of a runaway strategy."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.reset_repeats(pool, by, strategy), env, inventory, json)


@command(
    name="reconcile",
    effect="compare the leader's books with the venue's; with --accept take the venue's word into them",
    hint="[--accept rollback|balance --by NAME]",
    help={
        **WHERE,
        **JSON,
        **BY,
        "accept": "rollback: trades that the venue took back; balance: a balance that is not ours",
    },
)
def stack_reconcile(
    _: Context, accept: str = "", by: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Compare the books with the venue's.

    What no rule of ours explains stops trading until a person accepts it."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.reconcile(pool, accept, by), env, inventory, json)


@command(
    name="pause",
    effect="let no trader open new orders",
    hint="--by NAME [--reason R]",
    help={**WHERE, **JSON, **BY, "reason": "why"},
)
def stack_pause(
    _: Context, by: str = "", reason: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Pause the desk until somebody resumes."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.pause(pool, by, reason), env, inventory, json)


@command(name="resume", effect="let the desk trade again", hint="--by NAME", help={**WHERE, **JSON, **BY})
def stack_resume(_: Context, by: str = "", env: str = "", inventory: str = "", json: bool = False) -> int:
    """Let the desk trade again.

    Answers every open alert. Kill switches stay as they are: stack.kill-switch --off."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.resume(pool, by), env, inventory, json)


@command(
    name="abort",
    effect="pause the desk and pull every kill switch",
    hint="--by NAME [--reason R]",
    help={**WHERE, **JSON, **BY, "reason": "why"},
)
def stack_abort(
    _: Context, by: str = "", reason: str = "", env: str = "", inventory: str = "", json: bool = False
) -> int:
    """Pause and cancel everything."""
    from stormdesk.desk import operators

    return at_the_desk(lambda pool: operators.abort(pool, by, reason), env, inventory, json)


# ---- dev: for those who work on Stormdesk ----------------------------------------------------------------------------
@command(name="check", effect="run linter, type checker and the tests that need no lab")
def dev_check(_: Context) -> int:
    """Check the code: lint, types, fast tests."""
    from stormdesk.cli import develop

    return develop.check(show(False))


@command(
    effect="kill the controller of real runs {kills} times, in a lab of its own",
    hint="--kills N",
    help={"kills": "how often; each of the steps gets its share", "seed": "of the choice of moments"},
)
def crashtest(_: Context, kills: Count = KILLS, seed: Seed = SEED) -> int:
    """Kill the controller; every host must heal."""
    from stormdesk.cli import develop

    return develop.crashtest(kills, seed)


@command(
    effect="give the venue's parser and the ledger's reader changed inputs for {for_}",
    hint="--for 1h",
    help={"for_": "how long, all targets together"},
)
def fuzz(_: Context, for_: Lifetime = MINUTE) -> int:
    """Fuzz the venue's and the ledger's readers."""
    from stormdesk.cli import develop

    return develop.fuzz(float(for_))


@command(
    effect="measure the suite {suite} on this machine",
    hint="--suite stack",
    help={
        "suite": "stack: the venue's orders and the feeder's messages a second, an order's way to its ack, the cost of fsync, memory"
    },
)
def bench(_: Context, suite: str = "stack") -> int:
    """Measure; nothing is asserted."""
    from stormdesk.cli import develop

    return develop.bench(suite)


@command(
    name="contract",
    effect="install ccxt, python-binance and Binance's own clients in environments of their own, let them trade on the venue",
    hint="[--full-timers]",
    help={"full_timers": "then the stack's scenarios, too, with every timer as resilience.yaml has it: an hour"},
)
def contract(_: Context, full_timers: bool = False) -> int:
    """Third-party clients trade on the venue."""
    from stormdesk.cli import develop

    return develop.contract(full_timers=full_timers)


@command(
    effect="run every repeated test at {percent} % of its full count, in labs of its own",
    hint="[--percent 100]",
    help={"percent": "how much of the full counts"},
)
def soak(_: Context, percent: Percent = ALL) -> int:
    """Run every repeated test in full."""
    from stormdesk.cli import develop

    return develop.soak(percent)


@command(name="schemas", effect="write docs/formats/schemas/*.json from the structs")
def dev_schemas(_: Context) -> int:
    """Write the JSON Schemas of all documents."""
    from stormdesk.cli import develop

    return develop.schemas()


ns = Collection()
ns.add_task(doctor)
ns.add_task(demo)
ns.add_collection(Collection("env", up, status, list_, export, ssh, exec_, drift, unlock, down, reap))
ns.add_collection(Collection("chaos", catalog, *fault_commands(attack), faults_in, revert, recover, halt))
ns.add_collection(Collection("venue", venue_catalog, venue_guest, *venue_commands(attack_venue)))
ns.add_collection(Collection("check", check_steady, check_invariants, check_residue, check_all))
ns.add_collection(Collection("gameday", runbooks, play, write_report))
ns.add_collection(
    Collection(
        "stack",
        *(stack_health, stack_metrics, stack_restart, stack_kill_switch, stack_clear_failsafe, stack_reset_breakers),
        *(stack_reset_repeats, stack_reconcile, stack_pause, stack_resume, stack_abort),
    )
)
ns.add_collection(Collection("dev", dev_check, crashtest, contract, bench, fuzz, soak, dev_schemas))
