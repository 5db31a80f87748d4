"""The blast radius with several users at once: two real hosts of one role, and controllers that do not know each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from stormdesk.cli.show import Show
from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import VERSION, Inventory
from stormdesk.core.safety import Allow
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.run.blast import Blast
from stormdesk.run.fanout import Fanout
from stormdesk.run.hostrun import HostRun
from stormdesk.run.prepare import prepare
from stormdesk.run.record import Record
from stormdesk.ssh.pool import Pool
from tests.ssh.server import Server

EARLIER, LATER = "r-20261121-0312-aaaaaa", "r-20261121-0312-bbbbbb"


@dataclass
class Desk:
    """Two traders, and as many controllers as one likes."""

    servers: dict[str, Server]
    inventory: Inventory
    folder: Path

    def pool(self) -> Pool:
        return Pool(self.inventory, lambda host, timeout_s: self.servers[host.name].dial(host, timeout_s))

    def plan(self, pool: Pool, run: str, *hosts: str, allow: Allow = Allow()) -> Fanout:  # noqa: B008
        chosen = [self.inventory.host(name) for name in hosts]
        prepared = prepare(pool, DiskFull(), chosen, run, 5.0, None, allow)
        record = Record(self.folder / run, run)
        runs = [HostRun(one.plan, one.facts, pool, record, allow) for one in prepared]
        blast = Blast(pool, run, {one.plan.id.host: one.facts for one in prepared}, allow)
        return Fanout(runs, blast, pool, record, Show.auto())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        servers = {}
        for name in ("trader-a", "trader-b"):
            (tmp_path / name).mkdir()
            servers[name] = stack.enter_context(Server(tmp_path / name))
        paths = {"data": "/var/lib/trading"}
        hosts = {name: server.host(name=name, paths=paths) for name, server in servers.items()}
        yield Desk(servers, Inventory(version=VERSION, environment="sandbox", hosts=hosts), tmp_path / "runs")


def test_case_C37_of_two_runs_that_arm_at_one_instant_one_is_in(desk: Desk) -> None:
    together = threading.Barrier(2)

    def attack(run: str, host: str) -> str:
        with desk.pool() as pool:
            fanout = desk.plan(pool, run, host)
            together.wait(30)
            try:
                fanout.inject()
            except RefusedError as error:
                assert [end.clean for end in fanout.heal()] == [True]
                return str(error)
            together_in.append(host)
            return ""

    together_in: list[str] = []
    ways = {"trader-a": LATER, "trader-b": EARLIER}
    with ThreadPoolExecutor(2) as threads:
        said = dict(zip(ways, threads.map(attack, ways.values(), ways), strict=True))
    (winner,) = together_in  # one is in, whoever was armed first; nobody waits for the other for ever
    (loser,) = set(ways) - {winner}
    who = f"run {ways[winner]} is on {winner}"
    assert said[loser].startswith(
        f"2 of 2 hosts of role trader at once ({who}): at most 33 %. Wait, or: --allow-role-share"
    )
    assert "INJECTING" not in desk.servers[loser].box.sh("cat /run/stormdesk/*/record 2>/dev/null || true")
    assert "CONFIRMED" in desk.servers[winner].box.sh("cat /run/stormdesk/*/record")


def test_case_C37_a_run_that_is_in_refuses_others_before_they_arm(desk: Desk) -> None:
    with desk.pool() as mine, desk.pool() as theirs:
        fanout = desk.plan(mine, EARLIER, "trader-a")
        fanout.inject()
        with pytest.raises(RefusedError, match=rf"run {EARLIER} is on trader-a"):
            desk.plan(theirs, LATER, "trader-b")
        desk.plan(theirs, LATER, "trader-b", allow=Allow(role_share=100))
        assert [end.clean for end in fanout.heal()] == [True]
        desk.plan(theirs, LATER, "trader-b")


def test_case_C37_a_host_that_cannot_be_asked_counts_as_taken(desk: Desk) -> None:
    hosts = {**desk.inventory.hosts}
    hosts["trader-b"] = msgspec.structs.replace(hosts["trader-b"], port=1)
    desk.inventory = msgspec.structs.replace(desk.inventory, hosts=hosts)
    with desk.pool() as pool, pytest.raises(RefusedError, match="trader-b does not answer and counts as taken"):
        desk.plan(pool, EARLIER, "trader-a")


def test_case_C37_two_names_of_one_machine_are_refused(desk: Desk) -> None:
    desk.servers["alias"] = desk.servers["trader-a"]
    alias = msgspec.structs.replace(desk.inventory.hosts["trader-a"], name="alias", role="alias")
    desk.inventory = msgspec.structs.replace(desk.inventory, hosts={**desk.inventory.hosts, "alias": alias})
    with desk.pool() as pool, pytest.raises(RefusedError, match="alias and trader-a are one machine by two names"):
        desk.plan(pool, EARLIER, "alias", "trader-a", allow=Allow(role_share=100))


def test_what_the_limits_cost(desk: Desk) -> None:
    """The facts of the chosen host and the claims on the other are one round trip; between arming and inject there is one more."""
    with desk.pool() as pool:
        pool.each(desk.inventory.hosts, lambda name: pool.run(name, ("true",), 10))
        counted = {name: server.dialed[-1] for name, server in desk.servers.items()}
        for one in counted.values():
            one.reset()
        fanout = desk.plan(pool, EARLIER, "trader-a")
        assert {name: one.trips for name, one in counted.items()} == {"trader-a": 1, "trader-b": 1}
        fanout.inject()
        assert {name: one.trips for name, one in counted.items()} == {"trader-a": 3, "trader-b": 2}
        assert [end.clean for end in fanout.heal()] == [True]
