"""env.*: ephemeral environments."""

from __future__ import annotations

from dataclasses import asdict

from invoke.collection import Collection

from stormdesk.cli import commands
from stormdesk.cli.command import command
from stormdesk.cli.options import ENV, JSON, WHERE, Options
from stormdesk.core.values import Lifetime

TWO_HOURS = Lifetime("2h")


@command(
    effect="create environment {name}: {topology}, backend {backend}, for {ttl}",
    hint="[--name N --ttl 2h]",
    help={
        "name": "name of the environment: lower-case letters, digits and -",
        "topology": "core, full (with Kafka), or scale:<hosts>",
        "backend": "lab: Linux namespaces on this machine; docker: containers; swarm: services over several machines",
        "engine": "auto (pulumi when it is there, else direct), pulumi, direct",
        "ttl": "it is removed by itself after this",
        "resilience": "a YAML file with overrides of testnet/resilience.yaml",
        "init": "process 1 of a lab's hosts: busybox (with supervisord), or systemd",
    },
    waits=True,
)
def up(
    options: Options,
    name: str = "demo",
    topology: str = "core",
    backend: str = "lab",
    engine: str = "auto",
    ttl: Lifetime = TWO_HOURS,
    resilience: str = "",
    init: str = "busybox",
) -> None:
    """Create an environment that trades."""
    from stormdesk.infra import environment

    numbers = environment.read_numbers(resilience) if resilience else None
    environment.up(name, topology, backend, engine, float(ttl), options.show.say, numbers, init)


@command({**WHERE, **JSON}, hint="[--env N]")
def status(options: Options) -> None:
    """Show hosts and services."""
    options.show.rows("hosts", [asdict(host) for host in commands.host_states(options)])


@command(JSON, name="list")
def list_(options: Options) -> None:
    """List environments."""
    from stormdesk.infra import environment

    show = options.show
    show.rows("environments", [asdict(item) for item in environment.listing(show.say)])


@command(WHERE, hint="--format ssh-config|ansible|json", help={"format_": "ssh-config, ansible or json"})
def export(options: Options, format_: str = "ssh-config") -> None:
    """Print how to reach the hosts."""
    print(commands.exported(options, format_), end="")


@command(WHERE, effect="open a shell on {host}", hint="--host H", help={"host": "which host"})
def ssh(options: Options, host: str = "") -> None:
    """Open a shell on a host."""
    from stormdesk.infra import access

    access.ssh(*commands.one_host(options, host))


@command(
    WHERE,
    name="exec",
    effect="run {command} on {host}",
    hint="--host H --command C",
    help={"host": "which host", "command": "one shell command"},
)
def exec_(options: Options, host: str = "", command: str = "") -> int:
    """Run a command on a host.

    Its exit code is ours."""
    from stormdesk.infra import access

    return access.execute(*commands.one_host(options, host), command)


@command(
    {**ENV, **JSON},
    hint="[--mend]",
    effect="read the hosts, networks, volumes and services of the environment",
    help={"mend": "repair the drift"},
)
def drift(options: Options, mend: bool = False) -> int:
    """Compare the environment with its declaration.

    Exit code 1 when something differs, as after a fault that was not reverted.
    """
    return commands.drifted(options, mend)


@command(ENV, effect="break the lock on the state of {env}", hint="--env N")
def unlock(options: Options) -> None:
    """Break the lock of a dead engine."""
    from stormdesk.infra import engine

    engine.unlock(commands.one_environment(options.env), options.show.say)


@command(ENV, effect="take the environment down and remove what it left", hint="[--env N]")
def down(options: Options) -> None:
    """Take an environment down.

    Works in any state, and repeatedly."""
    from stormdesk.infra import environment

    environment.down(commands.one_environment(options.env), options.show.say)


@command(effect="remove what ended environments left")
def reap(options: Options) -> None:
    """Remove what ended environments left."""
    from stormdesk.infra import environment

    environment.reap(options.show.say)


def group() -> Collection:
    """env.* in the order of the menu."""
    return Collection("env", up, status, list_, export, ssh, exec_, drift, unlock, down, reap)
