"""Ephemeral environments: up, status, list, export, drift, unlock, down, reap. Says what it does by the `say` it is given.

What an environment is lies in its folder (home.py). What its hosts are made of is a backend (backends/); who makes them is
an engine: Pulumi, or, for labs, the lab itself (`direct`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from stormdesk import inventory as documents
from stormdesk import own
from stormdesk.errors import RefusedError, StormdeskError, UsageError
from stormdesk.infra import backends, dialing, engine, exports, program, pulumi_cli, stacks
from stormdesk.infra import home as local
from stormdesk.infra.backends.lab import backend as lab
from stormdesk.infra.backends.lab import cgroup, control, deploy, parts, processes, records
from stormdesk.infra.dialing import Dialer
from stormdesk.infra.home import Material, Record
from stormdesk.infra.status import Environment, HostStatus
from stormdesk.infra.topology import NAME, Topology
from stormdesk.inventory import Inventory

Say = Callable[[str], None]
ENGINES, FORMATS = ("auto", "pulumi", "direct"), ("ssh-config", "ansible", "json")
MIN_TTL_S, MAX_TTL_S = 10.0, 7 * 86400.0
home = local.home


def up(name: str, topology: str | Topology, backend: str, with_engine: str, ttl_s: float, say: Say) -> Inventory:
    """Make an environment and wait until its hosts and services answer.

    `topology` is the name of a stack, or, for the direct engine, a Topology. UsageError: a bad value; RefusedError: the
    name is taken, this machine cannot (what to type is in the message), or it did not start, and then nothing is left.
    """
    _check(name, with_engine, ttl_s)
    chosen = _engine(backend, with_engine)
    if isinstance(topology, str):
        stacks.named(topology, stacks.Credentials(api_key="", api_secret=""))
    record = Record(
        name=name,
        owner=local.owner(),
        backend=backend,
        engine=chosen,
        topology=topology if isinstance(topology, str) else topology.name,
        ttl_s=ttl_s,
        expires_at=local.expiry(ttl_s),
    )
    if backend == "lab":
        control.require()
    _refuse_running(name)
    reap_expired(say)
    make = _direct if chosen == "direct" else _by_pulumi
    stack, inventory = make(record, topology, say)
    backends.named(backend).wait(record, stack, inventory, say)
    return inventory


def _direct(record: Record, topology: str | Topology, say: Say) -> tuple[Topology, Inventory]:
    with records.locked(record.name, 0.0) as lock:
        _refuse_running(record.name)
        if control.sweep(record.name, str(local.directory(record.name))):
            say(f"removed what an earlier {record.name} had left")
        try:
            local.make(record.name)
            local.write_record(record)
            stack, material = _stack(record, topology)
            _announce(record, stack, lab.prepare(record, stack), say)
            order = lab.order(record, stack, material)
            inventory = program.inventory(record, deploy.inventory_hosts(order))
            spec = deploy.spec_of(order)
            deploy.start(spec, lock, record.expires_at, lambda: local.write_state(inventory, material.login))
        except BaseException:
            control.sweep(record.name, str(local.directory(record.name)))
            raise
    return stack, inventory


def _by_pulumi(record: Record, topology: str | Topology, say: Say) -> tuple[Topology, Inventory]:
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
            _announce(record, stack, backends.named(record.backend).prepare(record, stack), say)
        except BaseException:
            local.forget(record.name)  # nothing was made yet
            raise
        try:
            document = engine.run("up", record.name, engine.UP_S, say)
            inventory = documents.parse(json.dumps(document).encode(), own.OUTPUT)
            local.write_state(inventory, material.login)
        except BaseException:
            with contextlib.suppress(StormdeskError):
                down(record.name, say)
            raise
    return stack, inventory


def _stack(record: Record, topology: str | Topology) -> tuple[Topology, Material]:
    if isinstance(topology, str):
        return program.of(record)
    return topology, local.material(record.name, [host.name for host in topology.hosts])


def _announce(record: Record, stack: Topology, notes: Sequence[str], say: Say) -> None:
    by = "directly" if record.engine == "direct" else "by Pulumi"
    what = f"{stack.name}, {len(stack.hosts)} hosts, {record.backend} {by}"
    say(f"environment {record.name}: {what}, until {record.expires_at}")
    for line in notes:
        say(line)


def status(name: str | None) -> Sequence[HostStatus]:
    """Each host's state, and whether its sshd and services listen."""
    inventory = load(name)
    return _backend(local.read_record(inventory.environment)).status(inventory)


def listing(say: Say) -> Sequence[Environment]:
    """All environments, without those that are over."""
    reap_expired(say)
    return list_environments()


def list_environments() -> Sequence[Environment]:
    """All environments of this home, and all labs that run on this machine whatever their home."""
    labs = processes.labs()
    names = {d.name for d in local.envs().iterdir() if NAME.fullmatch(d.name)} if local.envs().is_dir() else set()
    return [_environment(name, name in names) for name in sorted(names | set(labs))]


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
    if not _backend(local.read_record(name)).running(name):
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
    reap_expired(say)
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
    record = local.read_record(name)
    backend = _backend(record)
    if backend is lab:
        _need_root()
    was_running = backend.running(name)
    if record is not None and record.engine == "pulumi":
        _destroy(name, say)
    left = backend.remove(name, wait_s)
    local.forget(name)
    say(
        f"environment {name}: down"
        if was_running
        else f"environment {name}: was not running{', remains removed' if left else ''}"
    )


def _destroy(name: str, say: Say) -> None:
    """Let Pulumi take away what it made. Whatever it cannot, its backend does."""
    if pulumi_cli.find() is None:
        say("the Pulumi engine that made it is gone: its state goes with the environment")
        return
    try:
        engine.run("destroy", name, engine.DESTROY_S, say)
    except StormdeskError as error:
        say(f"{error}. Everything is removed without it")


def reap(say: Say) -> Sequence[str]:
    """Remove what environments that are not running have left: here, in /run, and on a Docker engine. Returns their names.

    One that another command is just working on is left to it.
    """
    gone = list(reap_expired(say))
    _need_root()
    left = {e.name for e in list_environments() if e.state == "gone"} | records.names() | cgroup.labs()
    for name in sorted(n for n in left - set(processes.labs()) if NAME.fullmatch(n)):
        try:
            down(name, say, wait_s=0.0)
            gone.append(name)
        except RefusedError as error:
            say(str(error))
    return gone


def reap_expired(say: Say) -> Sequence[str]:
    """Take away what is over on a Docker engine: unlike a lab, nothing there keeps the time. Found by labels alone."""
    from stormdesk.infra.backends.docker import backend as docker

    expired = docker.expired()
    for name in expired:
        say(f"environment {name} on this Docker engine has expired")
        if local.read_record(name):
            down(name, say)
        else:
            docker.remove(name, 0.0)
    return expired


def dialer(of: str | Inventory | None) -> Dialer:
    """A function that connects to a host's sshd: (host, seconds) to a connected socket. Raises ConnectFailed."""
    return dialing.dialer(of if isinstance(of, Inventory) else load(of))


def _check(name: str, with_engine: str, ttl_s: float) -> None:
    local.check_name(name)
    if with_engine not in ENGINES:
        raise UsageError(f"no engine '{with_engine}'. There is: {', '.join(ENGINES)}.")
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise UsageError(
            f"ttl {ttl_s:.0f}s: allowed is {MIN_TTL_S:.0f}s to {MAX_TTL_S / 86400:.0f}d. For example: --ttl 2h"
        )


def _engine(backend: str, wanted: str) -> str:
    """`auto` is Pulumi when it is there, and direct otherwise; only a lab can be made directly."""
    is_lab = backends.named(backend) is lab
    if wanted == "direct" and not is_lab:
        raise UsageError(f"--engine direct: only a lab can be made directly; {backend} needs --engine pulumi")
    if wanted == "auto" and is_lab:
        return "pulumi" if pulumi_cli.find() else "direct"
    if wanted != "direct":
        pulumi_cli.require()
        return "pulumi"
    return wanted


def _backend(record: Record | None) -> backends.Backend:
    """What an environment's hosts are made of; a lab that lost its record is still a lab."""
    return backends.named(record.backend if record else "lab")


def _refuse_running(name: str) -> None:
    if _backend(local.read_record(name)).running(name):
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


def _environment(name: str, ours: bool) -> Environment:
    path = local.directory(name) / "inventory.json"
    known = documents.parse(path.read_bytes(), str(path)) if path.exists() else None
    record = local.read_record(name)
    running = _backend(record).running(name)
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
