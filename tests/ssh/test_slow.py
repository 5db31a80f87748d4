"""Slow and distant hosts work with the default limits; for slower ones there is --patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

from stormdesk.cli.command import command
from stormdesk.core.errors import ConnectFailed, DeadlineExceeded, TransportError
from stormdesk.core.fault import Fault
from stormdesk.core.inventory import Link
from stormdesk.core.safety import Allow
from stormdesk.core.values import Patience
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.run import prepare
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Record
from stormdesk.ssh import patience
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.testinfra_backend import pooled
from tests.cases.planning import changed
from tests.shell.rig import picture, same
from tests.ssh.server import Server
from tests.ssh.slow import SlowWay

HOST = "sandbox"
RUN = "r-20261121-0312-k3f9"
FACTS: dict[str, Any] = {
    "networks": {"market": Link(interface="eth1", address="10.9.1.2/24")},
    "paths": {"data": "/var/lib/trading"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("slow")) as one:
        yield one


@pytest.fixture(autouse=True)
def as_written() -> Iterator[None]:
    yield
    patience.use(1)


@pytest.fixture
def way(kind: str, server: Server) -> Iterator[SlowWay]:
    far, silent = kind.startswith(("300", "all")), "word" in kind or kind.startswith("all")
    slow = "log-in" in kind or kind.startswith("all")
    server.box.sh(f"usermod -s /bin/{'bash' if slow else 'sh'} root; echo sleep {6 if slow else 0} >/root/.bashrc")
    yield SlowWay(server, 0.3 if far else 0.0, 6.0 if silent else 0.0)
    server.box.sh("usermod -s /bin/sh root; rm /root/.bashrc")


def prepared(pool: Pool, fault: Fault, hold_s: float) -> prepare.Prepared:
    (found,) = prepare.prepare(pool, fault, [pool.inventory.host(HOST)], RUN, hold_s, None, Allow())
    return found


@pytest.mark.parametrize("kind", ["300 ms away", "6 s until sshd says a word", "6 s for a log-in"])
def test_case_C3A_a_slow_host_is_reached_asked_and_reached_again_after_a_cut(server: Server, way: SlowWay) -> None:
    with Pool(server.inventory(), way.dial) as pool:
        assert pool.run(HOST, ("echo", "here"), 5).stdout == "here\n"
        assert pooled([HOST], pool.run)[HOST].file("/etc/stormdesk.target").exists
        pool.drop(HOST)
        way.open = False
        threading.Timer(1.0, lambda: setattr(way, "open", True)).start()
        pool.reconnect(HOST, 20)
        assert pool.run(HOST, ("echo", "again"), 5).stdout == "again\n"


@pytest.mark.parametrize("kind", ["300 ms away"])
def test_case_C3A_a_slow_host_heals(server: Server, way: SlowWay, tmp_path: Path) -> None:
    before = picture(server.box)
    with Pool(server.inventory(**FACTS), way.dial) as pool:
        found = prepared(pool, DiskFull(), 5)
        run = HostRun(found.plan, found.facts, pool, Record(tmp_path / "full", RUN))
        run.arm(inject=True)
        pool.drop(HOST)  # as after a lost link
        assert run.heal() is None
        assert (run.clean, run.cleared, run.as_planned) == (True, True, True)
    same(before, server.box)


@pytest.mark.parametrize("kind", ["all of them"])
def test_case_C3A_a_slow_host_whose_fault_cut_the_way_to_it_heals(server: Server, way: SlowWay, tmp_path: Path) -> None:
    before = picture(server.box)
    with Pool(server.inventory(**FACTS), way.dial) as pool:
        found = prepared(pool, AdapterDown(network="market"), 2)
        run = HostRun(changed(found.plan, cuts=True, ttl_s=3.0), found.facts, pool, Record(tmp_path / "cut", RUN))
        run.arm(inject=True)
        way.open = False
        threading.Timer(3.0, lambda: setattr(way, "open", True)).start()
        assert run.heal() is None
        assert (run.clean, run.reverted_by) == (True, "watchdog")
    same(before, server.box)


def test_case_C3A_a_host_that_is_back_is_noticed_soon(server: Server) -> None:
    """One try of TCP does not wait for as long as the whole of it may take."""
    way = SlowWay(server, open=False)
    with Pool(server.inventory(), way.dial) as pool:
        threading.Timer(1.5, lambda: setattr(way, "open", True)).start()
        began = time.monotonic()
        pool.reconnect(HOST, 60)
        assert time.monotonic() - began < 5
    assert max(way.tried) <= 2


@pytest.mark.parametrize("within_s", [0.0, 0.5, 2.0])
def test_case_C3A_a_silent_host_is_given_up_at_the_limit(server: Server, within_s: float) -> None:
    with Pool(server.inventory(), SlowWay(server, silent_s=60).dial) as pool:
        began = time.monotonic()
        with pytest.raises(ConnectFailed, match=r"--patience 2$"):
            pool.reconnect(HOST, within_s)
        assert time.monotonic() - began < within_s + 3


def test_case_C3A_patience_makes_each_limit_longer_and_says_the_next(server: Server) -> None:
    with server.pool() as pool:
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.5 s\. .*--patience 2$"):
            pool.run(HOST, ("sleep", "1"), 0.5)
        patience.use(3.5)
        assert pool.run(HOST, ("sleep", "1"), 0.5).ok
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.7 s\. .*--patience 7$"):
            pool.run(HOST, ("sleep", "5"), 0.2)


def test_case_C3A_patience_reaches_connecting(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stormdesk.ssh.pool.CONNECT_TIMEOUT_S", 1.0)
    way = SlowWay(server, silent_s=1.5)
    with Pool(server.inventory(), way.dial) as pool:
        with pytest.raises(TransportError, match=r"--patience 2$"):
            pool.run(HOST, ("true",), 5)
        patience.use(4)
        assert pool.run(HOST, ("true",), 5).ok


def test_case_C3A_patience_leaves_the_hosts_own_deadline_alone(server: Server, tmp_path: Path) -> None:
    patience.use(10)
    with server.pool(**FACTS) as pool:
        found = prepared(pool, DiskFull(), 5)
        assert found.plan.timing.ttl_s == 20
        run = HostRun(found.plan, found.facts, pool, Record(tmp_path / "run", RUN))
        run.arm(inject=True)
        assert run.left_s() <= 20
        assert run.host_record is not None
        deadline_cs = int(run.host_record.value("deadline"))
        armed = run.host_record.at("ARMED")
        assert armed is not None
        assert 1900 <= deadline_cs - armed.uptime_cs <= 2000
        assert run.heal() is None


@pytest.mark.parametrize(("given", "seconds"), [({}, 10.0), ({"patience": Patience("3.5")}, 35.0)])
def test_case_C3A_a_task_for_hosts_takes_patience(given: dict[str, Any], seconds: float) -> None:
    seen: list[float] = []

    def look(_: Context, env: str = "", inventory: str = "") -> None:
        seen.append(patience.scaled(10))

    task = command()(look)
    task(Context(), **given)
    assert seen == [seconds]
    assert "patience" in [argument.name for argument in task.get_arguments()]
    assert "patience" not in [argument.name for argument in command()(lambda _: None).get_arguments()]
