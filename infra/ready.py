"""When is an environment up? Asked over SSH, so it does not matter what hosts are made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from stormdesk.drive.pool import Pool
from stormdesk.errors import StormdeskError
from stormdesk.infra.dialing import Dialer
from stormdesk.infra.topology import Service, Topology
from stormdesk.inventory import Inventory

ASK_S, PAUSE_S = 5.0, 0.1
Stage = tuple[str, Callable[[], Sequence[str]]]


def wait(inventory: Inventory, topology: Topology, dialer: Dialer, seconds: float, say: Callable[[str], None]) -> None:
    """Wait until SSH answers on all hosts, every service listens, and the stack does its work; says when, or what not.

    Services are not asked before they listen, and are given up (not the environment) after `seconds`.
    """
    with Pool(inventory, dialer) as pool:
        stages: list[Stage] = [(f"SSH on {len(inventory.hosts)} hosts", lambda: _deaf(pool))]
        if topology.services:
            stages += [
                (f"{len(topology.services)} services listening", lambda: _silent(pool, topology)),
                ("ready", lambda: _idle(pool, topology)),
            ]
        started = time.monotonic()
        for what, missing in stages:
            while left := missing():
                if time.monotonic() > started + seconds:
                    say(f"not after {seconds:.0f} s: {what}: {', '.join(left)}")
                    return
                time.sleep(PAUSE_S)
            say(f"{what} after {time.monotonic() - started:.2f} s")


def listening(pool: Pool, host: str) -> set[int]:
    """The TCP ports that anybody listens on, on a host."""
    lines = pool.run(host, ("ss", "-Hltn"), ASK_S).stdout.splitlines()
    return {int(line.split()[3].rpartition(":")[2]) for line in lines}


def _deaf(pool: Pool) -> Sequence[str]:
    """The hosts that SSH does not reach."""

    def ask(host: str) -> None:
        pool.reconnect(host, 0.0)

    return [name for name, error in pool.each(pool.inventory.hosts, ask).items() if error is not None]


def _silent(pool: Pool, topology: Topology) -> Sequence[str]:
    """The services (`trader on trader-a`) that do not listen on all of their ports."""
    heard = pool.each(dict.fromkeys(s.host for s in topology.services), lambda host: listening(pool, host))

    def listens(service: Service) -> bool:
        ports = heard[service.host]
        return not isinstance(ports, StormdeskError) and set(service.ports.values()) <= ports

    return [f"{s.name} on {s.host}" for s in topology.services if not listens(s)]


def _idle(pool: Pool, topology: Topology) -> Sequence[str]:
    """The names of services of which none says that it does its work, with what they say."""
    asked = [service for service in topology.services if service.ready]
    said: dict[str, list[str]] = {}
    working = set()
    for service in asked:
        url = f"http://127.0.0.1:{service.ports['http']}{service.ready}"
        words = ("curl", "--silent", "--max-time", "2", "--write-out", "\n%{http_code}", url)
        try:
            body, _, status = pool.run(service.host, words, ASK_S).stdout.rpartition("\n")
        except StormdeskError as error:
            body, status = str(error), ""
        said.setdefault(service.name, []).append(f"{service.host} {status} {body}")
        working |= {service.name} if status == str(HTTPStatus.OK.value) else set()
    return [f"{name} ({'; '.join(answers)})" for name, answers in said.items() if name not in working]
