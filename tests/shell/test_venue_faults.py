"""The venue's own faults on a host, with a real venue process in the host's network: injected, witnessed, and removed by whoever
is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stormdesk.core.inventory import Link, ServiceEntry
from stormdesk.desk import venue_faults
from tests.shell.rig import CONFIRMED, HOST, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually, require

ADDRESS = "10.9.1.2"
BASE = f"http://{ADDRESS}:8081/faults"
LINKS = {**HOST.networks, "mgmt": Link(interface="eth1", address=f"{ADDRESS}/24", address6="fd99::2/64")}
SERVICES = {"venue": ServiceEntry(user="trading", manager="supervisor", ports={"control": 8081})}
EXCHANGE = msgspec.structs.replace(HOST, networks=LINKS, services=SERVICES)
FROZEN = venue_faults.runnable("freeze")()  # strikes at once: each turn that the engine misses is a hit


class Host(Rig):
    """A sandbox and the venue that listens in its network."""

    process: subprocess.Popen[bytes]

    def says(self) -> dict[str, Any]:
        """The fault of this run, as the venue sees it."""
        return dict(json.loads(self.sandbox.sh(f"curl -sS -m 3 {BASE}/{self.run_id}")))


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    require("curl")
    account = {"name": "desk", "api_key": "key", "api_secret": "secret", "balances": {"USDT": "1000"}}
    config = {
        "listen": f"{ADDRESS}:8080", "control": f"{ADDRESS}:8081", "data_dir": str(tmp_path / "data"), "seed": 7,
        "pidfile": str(tmp_path / "pid"), "symbols": ["BTCUSDT"], "accounts": [account],
    }  # fmt: skip
    (tmp_path / "venue.json").write_text(json.dumps(config))
    with rig(request.param) as plain:
        words = [sys.executable, "-m", "stormdesk.testnet.venue", "--config", str(tmp_path / "venue.json")]
        inside = ["nsenter", f"--net=/proc/{plain.sandbox.pid}/ns/net"]
        it = Host(plain.sandbox, host=EXCHANGE)
        with (tmp_path / "log").open("ab") as out:
            it.process = subprocess.Popen([*inside, *words], stdout=out, stderr=out)
        try:
            eventually(f"curl -sS -m 3 {BASE}", it.sandbox, 20)
            yield it
        finally:
            it.process.send_signal(signal.SIGCONT)
            it.process.kill()
            it.process.wait(10)


def bite(host: Host, ttl_s: float = 20.0) -> list[str]:
    before = picture(host.sandbox)
    done = host.arm(host.plan(FROZEN, ttl_s))
    assert (done.code, states(done)) == (0, CONFIRMED), done.stdout + done.stderr
    assert host.says()["on"] is True
    return before


def test_it_is_injected_and_reverted_without_a_trace(host: Host) -> None:
    before = bite(host)
    assert host.record().at("CONFIRMED") is not None
    done = host.revert()
    assert (done.code, done.stderr) == (0, "")
    said = host.says()
    assert (said["on"], said["hits"] >= 1) == (False, True)
    assert host.record().value("hits") == str(said["hits"])
    assert host.clear().ok
    same(before, host.sandbox)


def test_the_watchdog_reverts_it(host: Host) -> None:
    bite(host, ttl_s=3.0)
    until = time.monotonic() + 15
    while host.state() != "REVERTED" and time.monotonic() < until:
        time.sleep(0.1)
    assert host.record().value("reverted_by") == "watchdog"
    assert host.says()["on"] is False


def test_a_venue_that_died_took_the_fault_with_it(host: Host) -> None:
    bite(host)
    host.process.kill()
    host.process.wait(10)
    assert host.revert().code == 0


def test_a_venue_that_cannot_be_asked_leaves_the_host_dirty_until_it_can(host: Host) -> None:
    """It may still have the fault: nobody says that it is over before the venue has said so."""
    bite(host)
    host.process.send_signal(signal.SIGSTOP)
    assert host.revert(patience_s=0.5).code == 14
    assert host.state() == "REVERT_FAILED"
    host.process.send_signal(signal.SIGCONT)
    assert host.revert().code == 0
    assert host.says()["on"] is False


def test_a_fault_without_hits_is_not_confirmed(host: Host) -> None:
    done = host.arm(host.plan(venue_faults.runnable("listen-key-expiry")()))
    assert done.code == 13
    assert states(done)[-1] == "UNWITNESSED"
    assert host.revert().code == 0
