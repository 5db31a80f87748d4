"""Ephemeral environments: up, status, list, export, drift, unlock, down, reap. Says what it does by the `say` it is given.

What an environment is lies in its folder (home.py). Its hosts are made by an engine: direct, for labs, or Pulumi.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from stormdesk import inventory as documents
from stormdesk.errors import RefusedError, StormdeskError, UsageError
from stormdesk.infra import dialing, engine, exports, program, pulumi_cli, stacks
from stormdesk.infra import home as local
from stormdesk.infra.backends.lab import cgroup, control, deploy, parts, processes, records
from stormdesk.infra.dialing import Dialer
from stormdesk.infra.home import Material, Record
from stormdesk.infra.topology import NAME, Topology
from stormdesk.inventory import Inventory

Say = Callable[[str], None]
BACKENDS, ENGINES, FORMATS = ("lab",), ("auto", "pulumi", "direct"), ("ssh-config", "ansible", "json")
MIN_TTL_S, MAX_TTL_S, READY_S = 10.0, 7 * 86400.0, 60.0
home = local.home


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment, as `env.list` shows it.

    `state` is running, gone (expired, killed, or never finished), or elsewhere: running, but of another STORMDESK_HOME.
    """

    name: str
    state: str
    backend: str
    engine: str
    owner: str
    expires_at: str
    hosts: int


@dataclass(frozen=True, kw_only=True)
class HostStatus:
    """One host, as `env.status` shows it. `state`: up, off, starting, failed; `boots` counts its starts."""

    name: str
    role: str
    address: str
    state: str
    boots: int
    ssh: bool
    services: Mapping[str, bool]


def up(name: str, topology: str | Topology, backend: str, with_engine: str, ttl_s: float, say: Say) -> Inventory:
    """Make an environment and wait until its hosts and services answer.

    `topology` is the name of a stack, or, for the direct engine, a Topology. UsageError: a bad value; RefusedError: the
    name is taken, this machine cannot (what to type is in the message), or it did not start, and then nothing is left.
    """
    _check(name, backend, with_engine, ttl_s)
    chosen = _engine(with_engine)
    record = Record(
        name=name,
        owner=local.owner(),
        backend=backend,
        engine=chosen,
        topology=topology if isinstance(topology, str) else topology.name,
        ttl_s=ttl_s,
        expires_at=local.expiry(ttl_s),
    )
    if isinstance(topology, str):
        stacks.named(topology, stacks.Credentials(api_key="", api_secret=""))
    control.require()
    _refuse_running(name)
    made = _direct if chosen == "direct" else _by_pulumi
    order, inventory = made(record, topology, say)
    deploy.wait_ready(order, records.running(name), READY_S, say)
    return inventory


def _direct(record: Record, topology: str | Topology, say: Say) -> tuple[deploy.Order, Inventory]:
    with records.locked(record.name, 0.0) as lock:
        _refuse_running(record.name)
        if control.sweep(record.name, str(local.directory(record.name))):
            say(f"removed what an earlier {record.name} had left")
        try:
            local.make(record.name)
            local.write_record(record)
            stack, material = _stack(record, topology)
            order = program.order(record, stack, material)
            _announce(record, stack, say)
            inventory = program.inventory(record, deploy.inventory_hosts(order))
            deploy.deploy(order, lock, lambda: local.write_state(inventory, material.login))
        except BaseException:
            control.sweep(record.name, str(local.directory(record.name)))
            raise
    return order, inventory


def _by_pulumi(record: Record, topology: str | Topology, say: Say) -> tuple[deploy.Order, Inventory]:
    if not isinstance(topology, str):
        raise UsageError("a topology that has no name cannot go through Pulumi: use the direct engine")
    with _alone(record.name):
        _refuse_running(record.name)
        if local.read_record(record.name):
            down(record.name, say)
            local.make(record.name)
        try:
            local.write_record(record)
            stack, material = program.of(record)
            _announce(record, stack, say)
            document = engine.run("up", record.name, engine.UP_S, say)
            inventory = documents.parse(json.dumps(document).encode(), program.OUTPUT)
            local.write_state(inventory, material.login)
        except BaseException:
            with contextlib.suppress(StormdeskError):
                down(record.name, say)
            raise
    return program.order(record, stack, material), inventory


def _stack(record: Record, topology: str | Topology) -> tuple[Topology, Material]:
    if isinstance(topology, str):
        return program.of(record)
    return topology, local.material(record.name, [host.name for host in topology.hosts])


def _announce(record: Record, stack: Topology, say: Say) -> None:
    engine_ = f"{record.engine} engine" if record.engine == "direct" else "Pulumi"
    say(
        f"environment {record.name}: {stack.name}, {len(stack.hosts)} hosts, {record.backend}, {engine_}, "
        f"until {record.expires_at}"
    )
    for line in deploy.shortcomings():
        say(line)


def status(name: str | None) -> Sequence[HostStatus]:
    """Each host's state, asked of the lab init, and whether its sshd and services listen."""
    inventory = load(name)
    pid = records.running(inventory.environment)
    states, pids = control.status(inventory.environment), control.host_pids(inventory.environment, pid)
    result = []
    for host in inventory.hosts.values():
        state = states.get(host.name, {"state": "unknown", "boots": 0})
        ports = control.listening(pids[host.name]) if host.name in pids else set()
        result.append(
            HostStatus(
                name=host.name,
                role=host.role,
                address=host.address,
                state=state["state"],
                boots=state["boots"],
                ssh=host.port in ports,
                services={n: set(s.ports.values()) <= ports for n, s in host.services.items()},
            )
        )
    return result


def list_environments() -> Sequence[Environment]:
    """All environments of this home, and all labs that run on this machine whatever their home."""
    running = processes.labs()
    names = {d.name for d in local.envs().iterdir() if NAME.fullmatch(d.name)} if local.envs().is_dir() else set()
    return [_environment(name, name in names, name in running) for name in sorted(names | set(running))]


def load(name: str | None) -> Inventory:
    """The inventory of an environment; None: STORMDESK_ENV, else the only one there is.

    UsageError: none, several, or no such; RefusedError: it is not running any more.
    """
    name = name or os.environ.get("STORMDESK_ENV") or _only()
    path = local.directory(name) / "inventory.json"
    if not path.exists():
        known = ", ".join(e.name for e in list_environments()) or "none"
        raise UsageError(f"no environment '{name}' (there is: {known}). Type: invoke env.up --name {name}")
    inventory = documents.parse(path.read_bytes(), str(path))
    if not records.running(name):
        raise RefusedError(f"environment {name} is not running any more. Type: invoke env.down --env {name}")
    return inventory


def export(name: str | None, format: str) -> str:  # noqa: A002  the task's own word
    """The environment in the words of `format`: ssh-config, ansible or json."""
    if format not in FORMATS:
        raise UsageError(f"no format '{format}'. There is: {', '.join(FORMATS)}.")
    inventory = load(name)
    directory = local.directory(inventory.environment)
    match format:
        case "ssh-config":
            return exports.ssh_config(inventory, str(directory / "known_hosts"))
        case "ansible":
            return exports.ansible(inventory, str(directory / "ssh_config"))
        case _:
            return documents.render(inventory).decode()


def ssh(name: str | None, host: str) -> NoReturn:
    """Become an ssh client on a host."""
    command = _ssh_command(name, host)
    os.execvp(command[0], command)  # noqa: S606  the terminal belongs to ssh from here on


def execute(name: str | None, host: str, command: str) -> int:
    """Run one shell command on a host with this process's stdio; returns its exit code (255: ssh itself failed)."""
    return subprocess.run([*_ssh_command(name, host), command], check=False).returncode


def drift(name: str | None, mend: bool, say: Say) -> Mapping[str, Sequence[str]]:
    """What is not as declared: {part: [differences]}; with `mend`, what is left after bringing it back."""
    name = load(name).environment
    record = local.read_record(name)
    through = record is not None and record.engine == "pulumi"
    found = _drift(name, through, say)
    if found and mend:
        for part, differences in found.items():
            say(f"{part}: {'; '.join(differences)}")
        engine.run("up", name, engine.UP_S, say) if through else parts.mend(name, found)
        found = _drift(name, through, say)
    return found


def _drift(name: str, through_pulumi: bool, say: Say) -> Mapping[str, Sequence[str]]:
    if not through_pulumi:
        return parts.drift_of(name)
    found: Mapping[str, Sequence[str]] = engine.run("refresh", name, engine.READ_S, say)
    return found


def unlock(name: str, say: Say) -> None:
    """Break the lock that a dead engine left on an environment's state, after saying whose it is.

    RefusedError: its holder is alive.
    """
    local.check_name(name)
    held = engine.locks(name)
    if not held:
        say(f"environment {name}: nobody holds its state")
        return
    for lock in held:
        say(engine.describe(lock))
    if any(engine.alive(lock) for lock in held):
        raise RefusedError(f"environment {name}: who holds its state is still at work. End that first")
    engine.run("unlock", name, engine.READ_S, say)
    say(f"environment {name}: unlocked")


def down(name: str, say: Say, wait_s: float = 15.0) -> None:
    """Take an environment away, whatever state it is in. Doing it twice is fine.

    Waits up to `wait_s` for another command that works on it, then RefusedError.
    """
    local.check_name(name)
    _need_root()
    record = local.read_record(name)
    pid = records.running(name)
    if record is not None and record.engine == "pulumi":
        _destroy(name, say)
    with records.locked(name, wait_s):
        control.stop(records.running(name))
        left = control.sweep(name, str(local.directory(name)))
    with contextlib.suppress(OSError):
        local.envs().rmdir()
    say(
        f"environment {name}: down"
        if pid
        else f"environment {name}: was not running{', remains removed' if left else ''}"
    )


def _destroy(name: str, say: Say) -> None:
    """Let Pulumi take away what it made. Whatever it cannot, goes with the lab."""
    if pulumi_cli.find() is None:
        say("the Pulumi engine that made it is gone: its state goes with the environment")
        return
    try:
        engine.run("destroy", name, engine.DESTROY_S, say)
    except StormdeskError as error:
        say(f"{error}. Everything is removed without it")


def reap(say: Say) -> Sequence[str]:
    """Remove what environments that are not running have left, here and in /run. Returns their names.

    One that another command is just working on is left to it.
    """
    _need_root()
    left = {e.name for e in list_environments()} | records.names() | cgroup.labs()
    gone = []
    for name in sorted(n for n in left - set(processes.labs()) if NAME.fullmatch(n)):
        try:
            down(name, say, wait_s=0.0)
            gone.append(name)
        except RefusedError as error:
            say(str(error))
    return gone


def dialer(of: str | Inventory | None) -> Dialer:
    """A function that connects to a host's sshd: (host, seconds) to a connected socket. Raises ConnectFailed."""
    return dialing.dialer(of if isinstance(of, Inventory) else load(of))


def _check(name: str, backend: str, with_engine: str, ttl_s: float) -> None:
    local.check_name(name)
    if backend not in BACKENDS:
        raise UsageError(f"no backend '{backend}'. There is: {', '.join(BACKENDS)}.")
    if with_engine not in ENGINES:
        raise UsageError(f"no engine '{with_engine}'. There is: {', '.join(ENGINES)}.")
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise UsageError(
            f"ttl {ttl_s:.0f}s: allowed is {MIN_TTL_S:.0f}s to {MAX_TTL_S / 86400:.0f}d. For example: --ttl 2h"
        )


def _engine(wanted: str) -> str:
    """`auto` is Pulumi when it is there, and direct otherwise."""
    if wanted == "auto":
        return "pulumi" if pulumi_cli.find() else "direct"
    if wanted == "pulumi":
        pulumi_cli.require()
    return wanted


def _refuse_running(name: str) -> None:
    if records.running(name):
        raise RefusedError(
            f"environment {name} is already up. Type: invoke env.status, or invoke env.down --env {name}"
        )


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold an environment's folder, so that two `up` of one name do not meet."""
    fd = os.open(local.make(name), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RefusedError(
            f"another command is at work on environment {name}: type this again when it has ended"
        ) from error
    finally:
        os.close(fd)


def _need_root() -> None:
    if os.geteuid() != 0:
        raise RefusedError("this needs root, as the lab did. Type it again with: sudo -E")


def _environment(name: str, ours: bool, running: bool) -> Environment:
    path = local.directory(name) / "inventory.json"
    known = documents.parse(path.read_bytes(), str(path)) if path.exists() else None
    record = local.read_record(name)
    return Environment(
        name=name,
        state="gone" if not running else "running" if ours else "elsewhere",
        backend=record.backend if record else "",
        engine=record.engine if record else "",
        owner=record.owner if record else "",
        expires_at=record.expires_at if record else known.expires_at if known else "",
        hosts=len(known.hosts) if known else 0,
    )


def _only() -> str:
    names = [e.name for e in list_environments() if e.state == "running"]
    if len(names) > 1:
        raise UsageError(f"several environments: {', '.join(names)}. Say which: --env {names[0]}, or set STORMDESK_ENV")
    if not names:
        raise UsageError("no environment is up. Type: invoke env.up")
    return names[0]


def _ssh_command(name: str | None, host: str) -> list[str]:
    inventory = load(name)
    config = local.directory(inventory.environment) / "ssh_config"
    return ["ssh", "-F", str(config), inventory.host(host).name]
