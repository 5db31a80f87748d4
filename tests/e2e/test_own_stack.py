"""examples/own-stack as users have it: its Pulumi program with the real engine, its tasks, checks, game day and fault, on two
hosts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormdesk import own
from stormdesk.cli import sources
from stormdesk.core.errors import UsageError
from stormdesk.infra import dialing, environment, existing, pulumi_cli
from stormdesk.infra.stacks import NETWORKS
from stormdesk.infra.topology import Host, Placement, Topology, Volume
from stormdesk.ssh.pool import Pool
from tests.support.desk import eventually
from tests.support.invoking import ROOT

pytestmark = pytest.mark.lab
DATA = "/var/lib/trading"


def _host(name: str, number: int) -> Host:
    placements = [
        Placement(
            network=net.name,
            interface=f"eth{i}",
            address=f"{net.subnet.removesuffix('0/24')}{number}/24",
            address6=f"{net.subnet6.removesuffix('/64')}{number}/64",
        )
        for i, net in enumerate(NETWORKS[:2])
    ]
    return Host(name=name, role="plain", placements=placements)


MACHINES = Topology(
    name="machines",
    networks=NETWORKS[:2],
    hosts=[_host("matching-1", 21), _host("risk-1", 22)],
    volumes=[Volume(host=name, path=DATA, size_mib=64) for name in ("matching-1", "risk-1")],
)


class Desk:
    """A copy of the example beside nothing of ours, the stack `lab` up, and its engine at work."""

    def __init__(self, folder: Path, engine: pulumi_cli.Engine, lab: str) -> None:
        self.folder = folder / "desk"
        shutil.copytree(ROOT / "examples/own-stack", self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "state").mkdir()
        self.engine = engine
        self.environ = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("PULUMI_", "STORMDESK_", "PYTEST_"))
            },
            "STORMDESK_HOME": os.environ["STORMDESK_HOME"],
            "STORMDESK_RUNS": str(folder / "runs"),
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "of a test",
            "PULUMI_HOME": str(folder / "home"),
        }
        self.runs = folder / "runs"
        inventory = existing.load(lab)
        self.pool = Pool(inventory, dialing.dialer(inventory))
        machines = {
            name: {
                **{key: getattr(host, key) for key in ("address", "host_key", "identity_file", "proxy_command")},
                "orders_address": host.networks["market"].address,
                "service_user": "trading",
                "data": DATA,
            }
            for name, host in inventory.hosts.items()
        }
        self.pulumi("stack", "init", "lab")
        self.pulumi("config", "set", "environment", lab, "--stack", "lab")
        self.pulumi("config", "set", "machines", json.dumps(machines), "--stack", "lab")
        self.deploy("up")

    def run(self, argv: list[str], timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def pulumi(self, *words: str) -> None:
        done = self.run([str(self.engine.path), "--non-interactive", *words])
        assert done.returncode == 0, done.stdout + done.stderr

    def deploy(self, verb: str) -> None:
        done = self.run([sys.executable, "deploy.py", verb, "lab"])
        assert done.returncode == 0, done.stdout + done.stderr

    def invoke(self, *words: str, code: int = 0) -> dict[str, Any]:
        done = self.run([sys.executable, "-m", "invoke", *words, "--inventory", "pulumi:lab", "--json"], 150)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def signal_engine(self, name: str) -> None:
        assert self.pool.run("matching-1", ("pkill", f"-{name}", "-f", "^sh /run/engine"), 10).ok

    def start_engine(self) -> None:
        script = (self.folder / "engine.sh").read_text()
        argv = (
            "sh",
            "-c",
            'printf %s "$1" >/run/engine.sh; setsid sh /run/engine.sh "$2" >/dev/null 2>&1 & echo $!',
            "sh",
            script,
            DATA,
        )
        assert self.pool.run("matching-1", argv, 10).stdout.strip().isdigit()


@pytest.fixture(scope="module")
def desk(engine: pulumi_cli.Engine, lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    del lab_home
    name = f"own-{os.getpid()}"
    environment.up(name, MACHINES, "lab", "direct", 900.0, print)
    try:
        desk = Desk(tmp_path_factory.mktemp("own"), engine, name)
        with desk.pool:
            desk.start_engine()
            yield desk
            desk.deploy("destroy")
    finally:
        environment.down(name, print)


def test_a_full_disk_by_the_stacks_own_output(desk: Desk) -> None:
    ended = desk.invoke("chaos.disk-full", "--host", "matching-1", "--for", "2s")
    assert (ended["verdict"], ended["residue"]) == ("held", "clean")
    events = [json.loads(line) for line in (desk.runs / ended["run_id"] / "events.jsonl").read_text().splitlines()]
    steady = next(event for event in events if event["event"] == "steady")
    names = {check["id"] for check in steady["checks"]}
    assert names == {
        "disk",
        "engine.it_writes",
        *(f"engine.the_way_for_orders_is_wide[{host}]" for host in ("matching-1", "risk-1")),
    }
    checks = next(event for event in events if event["event"] == "checks")["checks"]
    assert {check["id"]: check["verdict"] for check in checks} == {
        "I-13": "held",
        "engine.no_number_is_missing_or_twice": "held",
    }


def test_its_own_fault(desk: Desk) -> None:
    ended = desk.invoke("chaos.mtu-shrink", "--host", "risk-1", "--for", "2s")
    assert (ended["verdict"], ended["residue"]) == ("held", "clean")
    assert desk.pool.run("risk-1", ("cat", "/sys/class/net/eth1/mtu"), 10).stdout == "1500\n"


def test_recovery_is_when_its_own_steady_state_holds_again(desk: Desk) -> None:
    """The engine stands still from within the hold until two seconds after the fault has gone."""
    argv = [
        sys.executable,
        "-m",
        "invoke",
        "chaos.mtu-shrink",
        "--host",
        "risk-1",
        "--for",
        "3s",
        "--inventory",
        "pulumi:lab",
    ]
    before = set(desk.runs.glob("r-*"))
    process = subprocess.Popen(
        argv, cwd=desk.folder, env=desk.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        (folder,) = eventually(lambda: set(desk.runs.glob("r-*")) - before, 60)
        eventually(lambda: '"S6.hold"' in (folder / "events.jsonl").read_text(), 60)
        desk.signal_engine("STOP")
        eventually(lambda: '"S9.cleared"' in (folder / "events.jsonl").read_text(), 60)
        time.sleep(2)
        desk.signal_engine("CONT")
        said = process.communicate(timeout=90)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (recovered,) = (event for event in events if event["event"] == "recovered")
    assert 2 <= recovered["took_s"] < 30


def test_its_own_game_day(desk: Desk) -> None:
    ended = desk.invoke("gameday.run", "--runbook", "engine-disk-full")
    assert [step["verdict"] for step in ended["steps"]] == ["held"]


def test_its_own_checks_can_fail(desk: Desk) -> None:
    good = desk.invoke("check.all")
    assert all(check["verdict"] == "held" for check in good["checks"])
    journal = f"{DATA}/engine.journal"
    desk.signal_engine("STOP")
    assert desk.pool.run("matching-1", ("sed", "-i", "3d", journal), 10).ok
    try:
        bad = desk.invoke("check.all", code=1)
    finally:
        desk.pool.run("matching-1", ("sed", "-i", "2a00000003", journal), 10)
        desk.signal_engine("CONT")
    found = {check["id"]: check["verdict"] for check in bad["checks"]}
    assert found["engine.it_writes"] == found["engine.no_number_is_missing_or_twice"] == "violated"
    assert found["I-13"] == "held"  # anybody may have stopped that process: without a run there is no baseline to tell


def test_mistakes_in_a_stack_are_reported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in desk.environ.items():
        if key.startswith("PULUMI_"):
            monkeypatch.setenv(key, value)
    read = sources.read(f"pulumi:{desk.folder}#lab")
    assert {host.role for host in read.hosts.values()} == {"matching", "risk"}
    desk.pulumi("stack", "init", "empty")
    with pytest.raises(UsageError, match=rf"pulumi:empty: no output {own.OUTPUT} \(there is: none\)"):
        sources.read(f"pulumi:{desk.folder}#empty")
    with pytest.raises(UsageError, match="pulumi:nope: the Pulumi engine says: error: no stack named 'nope' found"):
        sources.read(f"pulumi:{desk.folder}#nope")
    with pytest.raises(UsageError, match="which stack"):
        sources.read("pulumi:")


def test_without_an_engine_the_stack_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from stormdesk.core.errors import RefusedError

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STORMDESK_CACHE", str(tmp_path))
    with pytest.raises(RefusedError, match="invoke doctor --install pulumi"):
        sources.read("pulumi:lab")
