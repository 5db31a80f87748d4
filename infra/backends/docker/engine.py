"""The engine, by its own command line: what it can do, what is there, create, remove by labels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stormdesk.errors import HostError, RefusedError
from stormdesk.infra.backends.docker import argv, plan
from stormdesk.infra.backends.docker.plan import Abilities, Container, Segment
from stormdesk.infra.rewriting import NETS

DEADLINE_S = 60.0
BUILD_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Docker engine. `command` starts its client, `environ` says where it is (DOCKER_HOST), and how it is reached."""

    command: str = "docker"
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *words: str, given: bytes = b"", seconds: float = DEADLINE_S) -> str:
        """One command of the client; its output. HostError has the engine's own words."""
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
        return done.stdout.decode()

    def json(self, *words: str) -> Any:
        """One command of the client whose output is JSON."""
        return json.loads(self.run(*words) or "null")


def find() -> Engine:
    """The engine that DOCKER_HOST or docker's context names; RefusedError when there is none that answers."""
    engine = Engine()
    if shutil.which(engine.command) is None:
        raise RefusedError("no docker here. Install Docker, or use: --backend lab")
    try:
        engine.run("info", seconds=10.0)
    except HostError as error:
        raise RefusedError(f"no Docker engine answers ({error}). Start it, or use: --backend lab") from error
    return engine


def abilities(engine: Engine, image: str) -> Abilities:
    """What the engine can do; starts one container for a moment, since no engine tells what its own bounding set lacks.

    Engines tell nothing of sizes of volumes either: those are asked for by the user.
    """
    info = engine.json("info", "--format", "{{json .}}")
    limited = bool(info.get("MemoryLimit")) and info.get("CgroupDriver") != "none"
    return Abilities(
        cgroup=f"v{info.get('CgroupVersion') or 1}" if limited else "none",
        processes=limited and bool(info.get("PidsLimit")),
        oom=_starts(engine, image, plan.OOM),
    )


def _starts(engine: Engine, image: str, capability: str) -> bool:
    """Does a container with that capability start? None of it is left, whatever the answer is."""
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
    """The first of `rewriting.NETS`, from 77 on, whose subnets no network of the engine uses."""
    names = engine.run("network", "ls", "--quiet").split()
    there = json.dumps(engine.json("network", "inspect", *names) if names else [])
    start = NETS.index(77)
    for net in (*NETS[start:], *NETS[:start]):
        if f'"10.{net}.' not in there and f'"fd{net}:' not in there:
            return net
    raise RefusedError("all of the subnets 10.10.0.0 to 10.99.0.0 are taken on this engine. Type: invoke env.reap")


def create(engine: Engine, segments: Iterable[Segment], containers: Iterable[Container]) -> None:
    """Make networks and containers, and start them. HostError in the engine's words; what is there then stays."""
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


def remove(engine: Engine, environment: str) -> Sequence[str]:
    """Remove all that carries the environment's label, twice if need be; returns what it was (`container <id>`, ...)."""
    gone = []
    for kind, flags, forced in (
        ("container", ("--all", "--no-trunc"), ("--force", "--volumes")),
        ("volume", (), ("--force",)),
        ("network", ("--no-trunc",), ()),
    ):
        there = engine.run(kind, "ls", "--quiet", *flags, "--filter", f"label={plan.LABEL}={environment}").split()
        if there:
            engine.run(kind, "rm", *forced, *there)
        gone += [f"{kind} {name}" for name in there]
    return gone


def environments(engine: Engine) -> Mapping[str, str]:
    """The environments that have anything on the engine, and when each expires, by labels alone."""
    found: dict[str, str] = {}
    for kind, flags in (("container", ("--all",)), ("volume", ()), ("network", ())):
        ids = engine.run(kind, "ls", "--quiet", *flags, "--filter", f"label={plan.LABEL}").split()
        for it in engine.json(kind, "inspect", *ids) if ids else []:
            labels = it["Config"]["Labels"] if kind == "container" else it["Labels"]
            found.setdefault(labels[plan.LABEL], labels.get(plan.EXPIRES, ""))
    return found


def expired(engine: Engine, now: datetime) -> Sequence[str]:
    """The environments whose time is over (`now` in UTC)."""
    return [name for name, until in environments(engine).items() if until and datetime.fromisoformat(until) <= now]
