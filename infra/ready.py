"""When an environment is up: the stages and their messages. The backend queries the hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from stormdesk.infra.topology import Service, Topology
from stormdesk.ssh import patience

PAUSE_S = 0.05


@dataclass(frozen=True)
class Questions:
    """Queries of hosts. None raises for a host that does not answer.

    `deaf`: the hosts without SSH; `ports`: the listening TCP ports, by host;
    `answer`: HTTP status and body of a service's path `ready`, status 0 where there is no answer.
    """

    deaf: Callable[[], Sequence[str]]
    ports: Callable[[], Mapping[str, set[int]]]
    answer: Callable[[Service], tuple[int, str]]


def wait(topology: Topology, questions: Questions, seconds: float, say: Callable[[str], None]) -> None:
    """Wait until SSH answers on all hosts, every service listens, and the stack works; reports each stage, or what is missing.

    Services are not queried before they listen. After `seconds` times the command's patience they are given up, but not the
    environment.
    """
    stages: list[tuple[str, Callable[[], Sequence[str]]]] = [(f"SSH on {len(topology.hosts)} hosts", questions.deaf)]
    if topology.services:
        stages += [
            (f"{len(topology.services)} services listening", lambda: _silent(topology, questions.ports())),
            ("ready", lambda: _idle(topology, questions.answer)),
        ]
    started, seconds = time.monotonic(), patience.scaled(seconds)
    for what, missing in stages:
        while left := missing():
            if time.monotonic() > started + seconds:
                say(f"not after {seconds:.0f} s: {what}: {', '.join(left)}")
                return
            time.sleep(PAUSE_S)
        say(f"{what} after {time.monotonic() - started:.2f} s")


def _silent(topology: Topology, ports: Mapping[str, set[int]]) -> Sequence[str]:
    """The services (`trader on trader-a`) that do not listen on all of their ports."""
    return [f"{s.name} on {s.host}" for s in topology.services if not set(s.ports.values()) <= ports.get(s.host, set())]


def _idle(topology: Topology, answer: Callable[[Service], tuple[int, str]]) -> Sequence[str]:
    """The names of services of which no instance is ready, with their answers."""
    said: dict[str, list[str]] = {}
    working = set()
    for service in topology.services:
        if service.ready:
            status, text = answer(service)
            said.setdefault(service.name, []).append(f"{service.host} {status} {text}")
            working |= {service.name} if status == HTTPStatus.OK else set()
    return [f"{name} ({'; '.join(answers)})" for name, answers in said.items() if name not in working]
