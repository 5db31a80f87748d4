"""dev.*: for developers of Stormdesk. Only a checkout has them."""

from __future__ import annotations

from pathlib import Path

from invoke.collection import Collection

from stormdesk.cli.command import command
from stormdesk.cli.options import Options
from stormdesk.core.values import Count, Lifetime, Percent, Seed

MINUTE, SEED, ALL = Lifetime("60s"), Seed(0), Percent(100)
KILLS, NETWORKS, HOLDS = Count(200), Count(1000), Count(100)
CUTS, BREAKPOINTS, PLANTED = Count(50), Count(20), Count(3)


@command(effect="run linter, type checker and the tests that need no lab")
def check(options: Options) -> int:
    """Check the code: lint, types, fast tests."""
    from stormdesk.cli import develop

    return develop.check(options.show)


@command(
    effect="kill the controller of real runs {kills} times, in a lab of its own",
    hint="--kills N [--watchdogs]",
    help={
        "kills": "how many kills, spread over all steps",
        "seed": "seed of the moments",
        "watchdogs": "each time kill one of the host's two watchdogs as well",
    },
)
def crashtest(_: Options, kills: Count = KILLS, seed: Seed = SEED, watchdogs: bool = False) -> int:
    """Kill the controller; every host must heal."""
    from stormdesk.cli import develop

    return develop.crashtest(kills, seed, watchdogs=watchdogs)


@command(
    effect="take an interface of {count} random networks down and up, as the fault and its undo do",
    hint="--count N",
    help={"count": "how many", "seed": "of the first of them; each has its own"},
)
def networks(_: Options, count: Count = NETWORKS, seed: Seed = SEED) -> int:
    """Random networks must come back."""
    from stormdesk.cli import develop

    return develop.networks(count, seed)


@command(
    effect="let an operator work on a host of a lab of its own around {holds} short holds; then plant forty leftovers",
    hint="--holds N",
    help={"holds": "how many", "seed": "of what the operator does, and when"},
)
def operators(_: Options, holds: Count = HOLDS, seed: Seed = SEED) -> int:
    """What an operator does in a hold must stay."""
    from stormdesk.cli import develop

    return develop.operators(holds, seed)


@command(
    effect=(
        "cut the power of a trader's volume {random} times at random moments and {breakpoints} times between write and fdatasync, "
        "in labs of its own; then {planted} times with each planted bug"
    ),
    hint="--random N --breakpoints N",
    help={
        "random": "how many at random moments",
        "breakpoints": "how many between a write and its fdatasync",
        "planted": "how many with each bug that must be found, and with syncs that lie; each in a lab of its own",
        "seed": "seed of the moments",
    },
)
def powercut(
    _: Options, random: Count = CUTS, breakpoints: Count = BREAKPOINTS, planted: Count = PLANTED, seed: Seed = SEED
) -> int:
    """No power cut may lose an acknowledged order."""
    from stormdesk.cli import develop

    return develop.powercut(random, breakpoints, planted, seed)


@command(
    effect="give the readers of documents, hosts' answers, the venue and the ledger changed inputs for {for_}",
    hint="--for 1h",
    help={"for_": "how long, all targets together"},
)
def fuzz(_: Options, for_: Lifetime = MINUTE) -> int:
    """Fuzz all readers of foreign bytes."""
    from stormdesk.cli import develop

    return develop.fuzz(float(for_))


@command(
    effect="measure the suite {suite} on this machine",
    hint="--suite stack",
    help={
        "suite": "stack: the venue's orders and the feeder's messages a second, an order's way to its ack, the cost of fsync, memory"
    },
)
def bench(_: Options, suite: str = "stack") -> int:
    """Measure; nothing is asserted."""
    from stormdesk.cli import develop

    return develop.bench(suite)


@command(
    effect="install ccxt, python-binance and Binance's own clients in environments of their own, and run them against the venue",
    hint="[--full-timers]",
    help={"full_timers": "then also the stack's scenarios with the full timers of resilience.yaml: an hour"},
)
def contract(_: Options, full_timers: bool = False) -> int:
    """Third-party clients trade on the venue."""
    from stormdesk.cli import develop

    return develop.contract(full_timers=full_timers)


@command(
    effect="run every repeated test at {percent} % of its full count, in labs of its own",
    hint="[--percent 100]",
    help={"percent": "percentage of the full counts"},
)
def soak(_: Options, percent: Percent = ALL) -> int:
    """Run every repeated test in full."""
    from stormdesk.cli import develop

    return develop.soak(percent)


@command(
    effect="boot a stock Debian 12 in QEMU ({accel}) and break it as a user would, one case after the other",
    hint="[--only NAME] [--keep]",
    help={
        "only": "this case of tests/vm/cases.py",
        "keep": "leave the machine running until Ctrl-C",
        "accel": "tcg, kvm, or auto: kvm where the processor has it",
    },
)
def vm(_: Options, only: str = "", keep: bool = False, accel: str = "auto") -> int:
    """Run the list on a real Debian machine."""
    from stormdesk.cli import develop

    return develop.vm(only, accel, keep=keep)


@command(effect="write docs/formats/schemas/*.json from the structs")
def schemas(_: Options) -> int:
    """Write the JSON Schemas of all documents."""
    from stormdesk.cli import develop

    return develop.schemas()


@command(
    effect="write docs/scenarios.md from the runbooks and the results of their runs",
    hint="[--run ID]",
    help={"run": "first take the result of this run of a runbook into docs/scenarios/"},
)
def scenarios(_: Options, run: str = "") -> int:
    """Write the page of all scenarios."""
    from stormdesk.cli import develop

    return develop.scenarios(run)


@command(
    effect="write what the cases of {fault} in tests/cases/ expect, as the faults give it now",
    hint="[--fault NAME]",
    help={"fault": "only the cases of this fault"},
)
def bless(_: Options, fault: str = "") -> int:
    """Rewrite what the cases of faults expect."""
    from stormdesk.cli import develop

    return develop.bless(fault)


@command(
    effect="build wheel, sdist and SBOM of the commit that is checked out in {into}, and audit the pinned packages",
    hint="--into dist",
    help={"into": "the folder, new or empty"},
)
def release(_: Options, into: str = "dist") -> int:
    """Build a release, twice, and audit it."""
    from stormdesk.cli import develop

    return develop.release(Path(into))


def group() -> Collection:
    """dev.* in the order of the menu."""
    return Collection(
        "dev", check, crashtest, networks, operators, powercut, contract, bench, fuzz, soak, vm, schemas, scenarios, bless, release
    )  # fmt: skip
