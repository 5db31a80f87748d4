"""The life of ephemeral environments: up, down, reap. Progress is reported through the `say` argument.

An environment is described in its folder (home.py). A backend (backends/) is what its hosts are; an engine creates them: Pulumi,
or, for labs, the lab itself (`direct`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from stormdesk import own
from stormdesk.core import inventory as documents
from stormdesk.core.errors import RefusedError, StormdeskError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.infra import backends, engine, existing, home, program, pulumi_cli, stacks
from stormdesk.infra.backends.lab import backend as lab
from stormdesk.infra.backends.lab import cgroup, control, deploy, processes, records
from stormdesk.infra.home import Material, Record
from stormdesk.infra.status import Environment
from stormdesk.infra.topology import NAME, Init, Topology
from stormdesk.testnet import resilience
from stormdesk.testnet.resilience import Overrides

Say = Callable[[str], None]
ENGINES = ("auto", "pulumi", "direct")
MIN_TTL_S, MAX_TTL_S = 10.0, 7 * 86400.0


def up(
    name: str,
    topology: str | Topology,
    backend: str,
    with_engine: str,
    ttl_s: float,
    say: Say,
    numbers: Overrides | None = None,
    init: str = Init.BUSYBOX,
) -> Inventory:
    """Create an environment and wait until its hosts and services answer.

    `topology` is the name of a stack, or, for the direct engine, a Topology; `numbers` override testnet/resilience.yaml; `init` is
    process 1 of the hosts of a stack that has a name. Raises UsageError for a bad value, RefusedError when the name is taken, this
    machine lacks something (the message says what to type), or the environment did not start; then nothing is left.
    """
    _check(name, with_engine, ttl_s)
    if numbers:
        _check_numbers(numbers)
        say(f"resilience: {json.dumps(numbers)}")
    chosen = _engine(backend, with_engine)
    if isinstance(topology, str):
        stacks.named(topology, stacks.Credentials(api_key="", api_secret=""))
    record = Record(
        name=name,
        owner=home.owner(),
        backend=backend,
        engine=chosen,
        topology=topology if isinstance(topology, str) else topology.name,
        ttl_s=ttl_s,
        expires_at=home.expiry(ttl_s),
        resilience=numbers or {},
        init=checked_init(init, backend),
    )
    if backend == "lab":
        control.require()
    _refuse_running(name)
    reap_expired(say)
    make = _direct if chosen == "direct" else _by_pulumi
    stack, inventory = make(record, topology, say)
    backends.named(backend).wait(record, stack, inventory, say)
    return inventory


def read_numbers(path: str) -> Overrides:
    """Overrides of testnet/resilience.yaml from a file in YAML. Raises UsageError."""
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--resilience {path}: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not all(isinstance(section, dict) for section in found.values()):
        raise UsageError(f"--resilience {path}: sections with numbers are expected, as in testnet/resilience.yaml")
    _check_numbers(found)
    return found


def _check_numbers(numbers: Overrides) -> None:
    try:
        resilience.load(numbers)
    except resilience.ResilienceError as error:
        raise UsageError(str(error)) from error


def _direct(record: Record, topology: str | Topology, say: Say) -> tuple[Topology, Inventory]:
    with records.locked(record.name, 0.0) as lock:
        _refuse_running(record.name)
        if control.sweep(record.name, str(home.directory(record.name))):
            say(f"removed what an earlier {record.name} had left")
        try:
            home.make(record.name)
            home.write_record(record)
            stack, material = _stack(record, topology)
            _announce(record, stack, lab.prepare(record, stack, say), say)
            order = lab.order(record, stack, material)
            inventory = program.inventory(record, deploy.inventory_hosts(order))
            spec = deploy.spec_of(order)
            deploy.start(spec, lock, record.expires_at, lambda: home.write_state(inventory))
        except BaseException:
            control.sweep(record.name, str(home.directory(record.name)))
            raise
    return stack, inventory


def _by_pulumi(record: Record, topology: str | Topology, say: Say) -> tuple[Topology, Inventory]:
    if not isinstance(topology, str):
        raise UsageError("a topology that has no name cannot go through Pulumi: use the direct engine")
    with _alone(record.name):
        _refuse_running(record.name)
        if home.read_record(record.name) or home.flaw(record.name):
            down(record.name, say)
            home.make(record.name)
        try:
            home.write_record(record)
            stack, _ = program.of(record, home.material)
            _announce(record, stack, backends.named(record.backend).prepare(record, stack, say), say)
        except BaseException:
            home.forget(record.name)  # nothing was created yet
            raise
        try:
            document = engine.run("up", record.name, engine.UP_S, say)
            inventory = documents.parse(json.dumps(document).encode(), own.OUTPUT)
            home.write_state(inventory)
        except BaseException:
            with contextlib.suppress(StormdeskError):
                down(record.name, say)
            raise
    return stack, inventory


def _stack(record: Record, topology: str | Topology) -> tuple[Topology, Material]:
    if isinstance(topology, str):
        return program.of(record, home.material)
    return topology, home.material(record.name, [host.name for host in topology.hosts])


def _announce(record: Record, stack: Topology, notes: Sequence[str], say: Say) -> None:
    by = "directly" if record.engine == "direct" else "by Pulumi"
    what = f"{stack.name}, {len(stack.hosts)} hosts, {record.backend} {by}"
    say(f"environment {record.name}: {what}, until {record.expires_at}")
    for line in notes:
        say(line)


def listing(say: Say) -> Sequence[Environment]:
    """All environments that are not expired. Unreadable records are reported."""
    reap_expired(say)
    found = existing.environments()
    for line in existing.flaws():
        say(line)
    return found


def down(name: str, say: Say, wait_s: float = 15.0) -> None:
    """Remove an environment, in whatever state it is. Repeating it is safe.

    Waits up to `wait_s` for another command that works on it, then raises RefusedError.
    """
    home.check_name(name)
    record = home.read_record(name)
    backend = backends.of(record)
    if backend is lab:
        _need_root()
    was_running = backend.running(name)
    if record is not None and record.engine == "pulumi":
        _destroy(name, say)
    left = backend.remove(name, wait_s)
    home.forget(name)
    if record is not None and record.engine == home.CLI:
        say(
            "it was made by `pulumi up`, whose stack still has it: the next `pulumi up` makes it again, `pulumi destroy` forgets it"
        )
    say(
        f"environment {name}: down"
        if was_running
        else f"environment {name}: was not running{', remains removed' if left else ''}"
    )


def _destroy(name: str, say: Say) -> None:
    """Let Pulumi remove what it created; the backend removes the rest."""
    if pulumi_cli.find() is None:
        say("the Pulumi engine that made it is gone: its state goes with the environment")
        return
    try:
        engine.run("destroy", name, engine.DESTROY_S, say)
    except StormdeskError as error:
        say(f"{error}. Everything is removed without it")


def reap(say: Say) -> Sequence[str]:
    """Remove what ended environments left: here, in /run, and on a Docker engine. Returns their names.

    Skips environments that another command is working on; those with an unreadable record are left to `down`.
    """
    gone = list(reap_expired(say))
    _need_root()
    for line in existing.flaws():
        say(line)
    left = {e.name for e in existing.environments() if e.state == "gone"} | records.names() | cgroup.labs()
    left -= {name for name in left if NAME.fullmatch(name) and home.flaw(name)}
    for name in sorted(n for n in left - set(processes.labs()) if NAME.fullmatch(n)):
        try:
            down(name, say, wait_s=0.0)
            gone.append(name)
        except RefusedError as error:
            say(str(error))
    return gone


def reap_expired(say: Say) -> Sequence[str]:
    """Remove expired environments from a Docker engine: unlike a lab, nothing there watches the time. They are found by labels only."""
    from stormdesk.infra.backends.docker import backend as docker

    expired = docker.expired()
    for name in expired:
        say(f"environment {name} on this Docker engine has expired")
        if home.read_record(name):
            down(name, say)
        else:
            docker.remove(name, 0.0)
    return expired


def _check(name: str, with_engine: str, ttl_s: float) -> None:
    home.check_name(name)
    if with_engine not in ENGINES:
        raise UsageError(f"no engine '{with_engine}'. There is: {', '.join(ENGINES)}.")
    check_ttl(ttl_s)


def check_ttl(ttl_s: float) -> None:
    """Raises UsageError unless the lifetime is allowed."""
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise UsageError(
            f"ttl {ttl_s:.0f}s: allowed is {MIN_TTL_S:.0f}s to {MAX_TTL_S / 86400:.0f}d. For example: --ttl 2h"
        )


def _engine(backend: str, wanted: str) -> str:
    """`auto` is Pulumi if it is installed, else direct; only labs can be created directly."""
    is_lab = backends.named(backend) is lab
    if wanted == "direct" and not is_lab:
        raise UsageError(f"--engine direct: only a lab can be made directly; {backend} needs --engine pulumi")
    if wanted == "auto" and is_lab:
        return "pulumi" if pulumi_cli.find() else "direct"
    if wanted != "direct":
        pulumi_cli.require()
        return "pulumi"
    return wanted


def checked_init(wanted: str, backend: str) -> Init:
    """The init with that name. UsageError: there is none, or the backend's hosts cannot have it."""
    if wanted not in [*Init]:
        raise UsageError(f"no init '{wanted}'. There is: {', '.join(Init)}.")
    if wanted != Init.BUSYBOX and backends.named(backend) is not lab:
        raise UsageError(f"--init {wanted}: only the hosts of a lab have an init of their own choice")
    return Init(wanted)


def _refuse_running(name: str) -> None:
    if backends.of(home.read_record(name)).running(name):
        raise RefusedError(
            f"environment {name} is already up. Type: invoke env.status, or invoke env.down --env {name}"
        )


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Lock an environment's folder, so that two `up` of one name do not collide."""
    fd = os.open(home.make(name), os.O_RDONLY | os.O_DIRECTORY)
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
