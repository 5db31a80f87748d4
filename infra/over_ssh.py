"""Queries of hosts over SSH, which work for every backend."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stormdesk.core.errors import HostError, StormdeskError, TransportError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.core.values import shown
from stormdesk.infra import dialing
from stormdesk.infra.ready import Questions
from stormdesk.infra.status import HostStatus
from stormdesk.infra.topology import Service, Topology
from stormdesk.ssh.pool import Pool

ASK_S = 5.0


def questions(pool: Pool, topology: Topology) -> Questions:
    """The queries for the wait until an environment is up."""

    def deaf() -> Sequence[str]:
        answers = pool.each(pool.inventory.hosts, lambda host: pool.reconnect(host, ASK_S))
        return [name for name, error in answers.items() if error is not None]

    def ports() -> Mapping[str, set[int]]:
        heard = pool.each(dict.fromkeys(s.host for s in topology.services), lambda host: listening(pool, host))
        return {host: answer for host, answer in heard.items() if isinstance(answer, set)}

    def answer(service: Service) -> tuple[int, str]:
        url = f"http://127.0.0.1:{service.ports['http']}{service.ready}"
        words = ("curl", "--silent", "--max-time", "2", "--write-out", "\n%{http_code}", url)
        try:
            body, _, status = pool.run(service.host, words, ASK_S).stdout.rpartition("\n")
        except StormdeskError as error:
            return 0, str(error)
        return int(status or 0), body

    return Questions(deaf, ports, answer)


def listening(pool: Pool, host: str) -> set[int]:
    """The listening TCP ports of a host. Raises HostError when they cannot be read."""
    done = pool.run(host, ("ss", "-Hltn"), ASK_S)
    if done.code != 0:
        raise HostError(f"{host}: ss -Hltn: {done.stderr.strip()}")
    ports = [re.fullmatch(r"\S+\s+\S+\s+\S+\s+\S*:([0-9]{1,5})\s.*", line) for line in done.stdout.splitlines()]
    if None in ports:
        raise HostError(f"{host}: ss -Hltn prints what is no list of ports: {shown(done.stdout)}")
    return {int(port[1]) for port in ports if port}


def status(inventory: Inventory) -> Sequence[HostStatus]:
    """Each host's state, and which of its services listen."""
    with Pool(inventory, dialing.dialer(inventory)) as pool:
        heard = pool.each(inventory.hosts, lambda host: listening(pool, host))
        ways = pool.each(inventory.hosts, inventory.host)
    return [_status(host, ways[name], heard[name]) for name, host in inventory.hosts.items()]


def _status(host: InventoryHost, way: InventoryHost | StormdeskError, ports: set[int] | StormdeskError) -> HostStatus:
    if isinstance(way, StormdeskError):  # it is not known how to reach it
        state = f"unusable: {way}"
        return HostStatus(name=host.name, role=host.role, address="", state=state, boots=None, ssh=False, services={})
    reached = not isinstance(ports, TransportError)
    heard = ports if isinstance(ports, set) else None
    return HostStatus(
        name=host.name,
        role=host.role,
        address=way.target,
        state="up" if reached else "unreachable",
        boots=None,
        ssh=reached,
        services={}
        if heard is None
        else {n: set(s.ports.values()) <= heard for n, s in host.services.items() if s.ports},
    )
