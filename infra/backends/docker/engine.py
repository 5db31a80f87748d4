"""The Docker engine through its command line: abilities, existing objects, create, remove by label."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stormdesk.core.errors import HostError, RefusedError
from stormdesk.core.values import shown
from stormdesk.infra.backends.docker import argv, plan, swarm
from stormdesk.infra.backends.docker.plan import Abilities, Container, Segment
from stormdesk.infra.backends.docker.swarm import Service
from stormdesk.infra.rewriting import NETS

DEADLINE_S = 60.0
BUILD_S = 1800.0
# The kinds of objects in an environment, in the order of removal, each with the flags of its `rm`.
KINDS: Mapping[str, Sequence[str]] = {
    "service": (),
    "secret": (),
    "container": ("--force", "--volumes"),
    "volume": ("--force",),
    "network": (),
}
SWARM_KINDS = ("service", "secret")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Docker engine. `command` is the client's argv; `environ` says where the engine is (DOCKER_HOST) and how to reach it."""

    command: str = "docker"
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *words: str, given: bytes = b"", seconds: float = DEADLINE_S) -> str:
        """Run one client command and return its output. HostError carries the engine's own message."""
        try:
            done = subprocess.run(
                (self.command, *words), input=given, env=dict(self.environ), capture_output=True, check=False,
                timeout=seconds,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise RefusedError("no docker here. Install Docker, or use: --backend lab") from error
        except subprocess.TimeoutExpired as error:
            raise HostError(f"docker {words[0]}: no answer within {seconds:.0f} s") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise HostError(f"docker {' '.join(words[:2])}: {said[-1]}")
        return done.stdout.decode(errors="replace")

    def json(self, *words: str) -> Any:
        """Run one client command whose output is JSON. HostError quotes output that is not."""
        said = self.run(*words)
        try:
            return json.loads(said or "null")
        except ValueError as error:
            raise HostError(f"docker {' '.join(words[:2])}: expected JSON, got: {shown(said)}") from error


def find() -> Engine:
    """The engine that DOCKER_HOST or the docker context names; RefusedError when none answers."""
    engine = Engine()
    if shutil.which(engine.command) is None:
        raise RefusedError("no docker here. Install Docker, or use: --backend lab")
    try:
        engine.run("info", seconds=10.0)
    except HostError as error:
        raise RefusedError(f"no Docker engine answers ({error}). Start it, or use: --backend lab") from error
    return engine


def abilities(engine: Engine, image: str) -> Abilities:
    """What the engine can do. Starts one short-lived container, since no engine reports what its own bounding set lacks.

    Engines do not report support for volume sizes either: the user asks for those.
    """
    info = engine.json("info", "--format", "{{json .}}")
    limited = bool(info.get("MemoryLimit")) and info.get("CgroupDriver") != "none"
    return Abilities(
        cgroup=f"v{info.get('CgroupVersion') or 1}" if limited else "none",
        processes=limited and bool(info.get("PidsLimit")),
        oom=_starts(engine, image, plan.OOM),
    )


def _starts(engine: Engine, image: str, capability: str) -> bool:
    """Does a container with that capability start? The container is always removed."""
    made = engine.run(
        *("container", "create", "--network", "none", "--cap-drop", "ALL", "--cap-add", capability),
        *("--label", f"{plan.LABEL}=probe", image, "true"),
    ).strip()
    try:
        engine.run("container", "start", made)
    except HostError:
        return False
    finally:
        engine.run("container", "rm", "--force", made)
    return True


def free_net(engine: Engine) -> int:
    """The first of `rewriting.NETS`, starting at 77, whose subnets no network on the engine uses."""
    names = engine.run("network", "ls", "--quiet").split()
    there = json.dumps(engine.json("network", "inspect", *names) if names else [])
    start = NETS.index(77)
    for net in (*NETS[start:], *NETS[:start]):
        if f'"10.{net}.' not in there and f'"fd{net}:' not in there:
            return net
    raise RefusedError("all subnets from 10.10.0.0 to 10.99.0.0 are taken on this engine. Type: invoke env.reap")


def create(engine: Engine, segments: Iterable[Segment], containers: Iterable[Container]) -> None:
    """Create networks and containers, and start them. On HostError (the engine's message) what exists is left in place."""
    for segment in segments:
        engine.run(*argv.network(segment))
    for it in containers:
        if it.data and it.data.volume:
            engine.run(*argv.volume(it.data, it.labels))
        engine.run(*argv.create(it))
        for words in argv.connect(it):
            engine.run(*words)
        engine.run(*argv.copy(it), given=argv.archive(it.uploads))
        engine.run("container", "start", it.name)


def create_services(engine: Engine, segments: Iterable[Segment], services: Iterable[Service]) -> None:
    """Create overlay networks, secrets and services on a swarm manager, and wait until every service has a running task."""
    for segment in segments:
        engine.run(*swarm.network_argv(segment))
    names = []
    for it in services:
        engine.run(*swarm.secret_argv(it), given=it.secret.upload.text.encode())
        engine.run(*swarm.service_argv(it))
        names.append(it.container.name)
    until = time.monotonic() + DEADLINE_S
    while waiting := [name for name in names if not _running(engine, name)]:
        if time.monotonic() > until:
            words = ("service", "ps", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}", waiting[0])
            said = engine.run(*words).strip().splitlines()
            raise HostError(f"service {waiting[0]}: {said[0] if said else 'no task'} after {DEADLINE_S:.0f} s")
        time.sleep(0.2)


def _running(engine: Engine, service: str) -> bool:
    words = ("service", "ps", "--filter", "desired-state=running", "--format", "{{.CurrentState}}", service)
    return engine.run(*words).startswith("Running")


def remove(engine: Engine, environment: str) -> Sequence[str]:
    """Remove everything with the environment's label, retrying if needed; returns what was removed (`container <id>`, ...).

    Waits for the networks: a swarm releases them when its tasks have ended. HostError after a minute.
    """
    in_swarm = engine.json("info", "--format", "{{json .Swarm.ControlAvailable}}")
    kinds = [kind for kind in KINDS if in_swarm or kind not in SWARM_KINDS]
    gone = []
    for kind in kinds:
        until = time.monotonic() + DEADLINE_S
        while there := _labelled(engine, kind, environment):
            try:
                engine.run(kind, "rm", *KINDS[kind], *there)
            except HostError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            gone += [f"{kind} {name}" for name in there]
    return sorted(set(gone))


def _labelled(engine: Engine, kind: str, environment: str) -> Sequence[str]:
    """The names or ids of an environment's objects of one kind."""
    every = ["--all"] if kind == "container" else []
    return engine.run(kind, "ls", "--quiet", *every, "--filter", f"label={plan.LABEL}={environment}").split()


def environments(engine: Engine) -> Mapping[str, str]:
    """The environments with objects on the engine, and when each expires, from labels alone.

    Services are not queried: each has a secret with the same labels, which is removed after it.
    """
    found: dict[str, str] = {}
    in_swarm = engine.json("info", "--format", "{{json .Swarm.ControlAvailable}}")
    for kind in ("container", "volume", "network", *(["secret"] if in_swarm else [])):
        every = ["--all"] if kind == "container" else []
        words = [f'{{{{.Label "{label}"}}}}' for label in (plan.LABEL, plan.EXPIRES)]
        listed = engine.run(kind, "ls", *every, "--filter", f"label={plan.LABEL}", "--format", " ".join(words))
        for line in listed.splitlines():
            name, _, until = line.partition(" ")
            found.setdefault(name, until)
    return found


def expired(engine: Engine, now: datetime) -> Sequence[str]:
    """The expired environments (`now` in UTC)."""
    return [name for name, until in environments(engine).items() if until and datetime.fromisoformat(until) <= now]
