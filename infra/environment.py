"""Ephemeral environments: up, status, list, export, down, reap. Says what it does by the `say` it is given.

State is `.stormdesk/envs/<name>/` (0700; STORMDESK_HOME moves it): inventory.json, ssh_config, known_hosts, id_ed25519,
volumes/. All of it ends with the environment; what a lab has outside of it is described in backends/lab.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from stormdesk import inventory as documents
from stormdesk.errors import RefusedError, UsageError
from stormdesk.infra import dialing, exports, keys, stacks
from stormdesk.infra.backends.lab import cgroup, control, deploy, processes, records
from stormdesk.infra.dialing import Dialer
from stormdesk.infra.topology import NAME, Topology
from stormdesk.inventory import Inventory

Say = Callable[[str], None]
BACKENDS, ENGINES, FORMATS = ("lab",), ("auto", "direct"), ("ssh-config", "ansible", "json")
MIN_TTL_S, MAX_TTL_S, READY_S = 10.0, 7 * 86400.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment, as `env.list` shows it.

    `state` is running, gone (expired, killed, or never finished), or elsewhere: running, but of another STORMDESK_HOME.
    """

    name: str
    state: str
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


def home() -> Path:
    """The directory of all local state: STORMDESK_HOME, else `.stormdesk` in the project (where tasks.py is)."""
    if moved := os.environ.get("STORMDESK_HOME"):
        return Path(moved).absolute()
    here = Path.cwd()
    return next((d for d in (here, *here.parents) if (d / "tasks.py").exists()), here) / ".stormdesk"


def up(name: str, topology: str | Topology, backend: str, engine: str, ttl_s: float, say: Say) -> Inventory:
    """Make an environment and wait until its hosts and services answer.

    `topology` is the name of a stack or a Topology. UsageError: a bad value; RefusedError: the name is taken, this
    machine cannot (what to type is in the message), or it did not start, and then nothing of it is left.
    """
    _check(name, backend, engine, ttl_s)
    stack = stacks.named(topology, keys.credentials()) if isinstance(topology, str) else topology
    layer = control.require()
    with records.locked(name, 0.0) as lock:
        if records.running(name):
            raise RefusedError(
                f"environment {name} is already up. Type: invoke env.status, or invoke env.down --env {name}"
            )
        directory = _directory(name)
        if control.sweep(name, str(directory)):
            say(f"removed what an earlier {name} had left")
        order = deploy.Order(
            name=name,
            topology=stack,
            home=directory,
            ttl_s=ttl_s,
            expires_at=(datetime.now(UTC) + timedelta(seconds=ttl_s)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            login=keys.generate(),
            host_keys={h.name: keys.generate() for h in stack.hosts},
            layer=layer,
        )
        say(f"environment {name}: {stack.name}, {len(stack.hosts)} hosts, lab, until {order.expires_at}")
        for line in deploy.shortcomings():
            say(line)
        inventory = Inventory(
            version=documents.VERSION,
            environment=name,
            expires_at=order.expires_at,
            hosts=deploy.inventory_hosts(order),
        )
        try:
            _make_directories(directory)
            pid = deploy.deploy(order, lock, lambda: _write_state(order, inventory))
        except BaseException:
            control.sweep(name, str(directory))
            raise
    deploy.wait_ready(order, pid, READY_S, say)
    return inventory


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
    names = {d.name for d in _envs().iterdir()} if _envs().is_dir() else set()
    return [_environment(name, name in names, name in running) for name in sorted(names | set(running))]


def load(name: str | None) -> Inventory:
    """The inventory of an environment; None: STORMDESK_ENV, else the only one there is.

    UsageError: none, several, or no such; RefusedError: it is not running any more.
    """
    name = name or os.environ.get("STORMDESK_ENV") or _only()
    path = _directory(name) / "inventory.json"
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
    directory = _directory(inventory.environment)
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


def down(name: str, say: Say, wait_s: float = 15.0) -> None:
    """Take an environment away, whatever state it is in. Doing it twice is fine.

    Waits up to `wait_s` for another command that works on it, then RefusedError.
    """
    _check_name(name)
    _need_root()
    with records.locked(name, wait_s):
        pid = records.running(name)
        control.stop(pid)
        left = control.sweep(name, str(_directory(name)))
    with contextlib.suppress(OSError):
        _envs().rmdir()
    say(
        f"environment {name}: down"
        if pid
        else f"environment {name}: was not running{', remains removed' if left else ''}"
    )


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


def _check(name: str, backend: str, engine: str, ttl_s: float) -> None:
    _check_name(name)
    if backend not in BACKENDS:
        raise UsageError(f"no backend '{backend}'. There is: {', '.join(BACKENDS)}.")
    if engine not in ENGINES:
        raise UsageError(f"no engine '{engine}'. There is: {', '.join(ENGINES)}.")
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise UsageError(
            f"ttl {ttl_s:.0f}s: allowed is {MIN_TTL_S:.0f}s to {MAX_TTL_S / 86400:.0f}d. For example: --ttl 2h"
        )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"name '{name}': lower-case letters, digits and '-', a letter first, at most 31. For example: demo"
        )


def _need_root() -> None:
    if os.geteuid() != 0:
        raise RefusedError("this needs root, as the lab did. Type it again with: sudo -E")


def _envs() -> Path:
    return home() / "envs"


def _directory(name: str) -> Path:
    _check_name(name)
    return _envs() / name


def _make_directories(directory: Path) -> None:
    for path in (home(), _envs(), directory, directory / "volumes"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write_state(order: deploy.Order, inventory: Inventory) -> None:
    directory = order.home
    known_hosts = directory / "known_hosts"
    documents_of = {
        "id_ed25519": order.login.private,
        "known_hosts": exports.known_hosts(inventory),
        "ssh_config": exports.ssh_config(inventory, str(known_hosts)),
        "inventory.json": documents.render(inventory).decode(),
    }
    for file, text in documents_of.items():
        fd = os.open(directory / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as out:
            out.write(text)


def _environment(name: str, ours: bool, running: bool) -> Environment:
    path = _directory(name) / "inventory.json"
    known = documents.parse(path.read_bytes(), str(path)) if path.exists() else None
    return Environment(
        name=name,
        state="gone" if not running else "running" if ours else "elsewhere",
        expires_at=known.expires_at if known else "",
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
    config = _directory(inventory.environment) / "ssh_config"
    return ["ssh", "-F", str(config), inventory.host(host).name]
