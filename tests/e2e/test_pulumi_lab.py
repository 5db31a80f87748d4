"""A lab created by the real Pulumi engine: the same hosts, an empty preview afterwards, drift found, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stormdesk.core import inventory as documents
from stormdesk.infra import drift, environment, existing, home
from stormdesk.infra import engine as pulumi
from stormdesk.infra.backends.lab import control, processes
from stormdesk.infra.pulumi_cli import Engine
from tests.e2e.lab_traces import assert_gone
from tests.support import zygote

pytestmark = pytest.mark.lab

# `pulumi up` with the memory of one host changed, or without a change; prints which resources it touched.
CHANGED = """
import dataclasses, json, sys
from stormdesk.infra import automation, home, program
name, memory_mib = sys.argv[1], int(sys.argv[2])
record = home.read_record(name)
topology, material = program.of(record)
def other(host):
    return dataclasses.replace(host, memory_mib=memory_mib) if host.name == "ops" else host
changed = dataclasses.replace(topology, hosts=[other(host) for host in topology.hosts])
stack = automation.open_stack(record, lambda: program.run(record, changed, material))
touched = []
def hear(event):
    if event.resource_pre_event and event.resource_pre_event.metadata.op != "same":
        touched.append(event.resource_pre_event.metadata.urn.rpartition("::")[2])
stack.up(color="never", on_event=hear)
print(json.dumps(touched))
"""
# What `pulumi up` in the checkout runs, driven by the Automation API: the full CLI's language host is not needed.
PROJECT = """
import json, runpy, sys, time
from stormdesk.infra import automation, home
from stormdesk.infra.home import Record
name = sys.argv[1]
home.make(name)
record = Record(name=name, owner="me", backend="lab", engine="pulumi", topology="core", ttl_s=600, expires_at="")
stack = automation.open_stack(record, lambda: runpy.run_module("stormdesk.infra", run_name="__main__"))
stack.set_config("stormdesk:ttl", automation.automation.ConfigValue("10m"))
began, used = time.monotonic(), time.process_time()
outputs = stack.up(color="never").outputs
busy = (time.process_time() - used) / (time.monotonic() - began)
again = stack.preview(color="never").change_summary
stack.destroy(color="never")
print(json.dumps([outputs["stormdesk_inventory"].value, again, busy]))
"""


def say(_: str) -> None:
    """These tests look at what is there, not at what is said."""


def script(text: str, *words: str) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", text, *words], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def made(engine: Engine, lab_home: str) -> Iterator[str]:
    """An environment that Pulumi made; at the end Pulumi takes it away, and nothing of it is left."""
    name = f"pulumi-{os.getpid()}"
    environment.up(name, "core", "lab", "pulumi", 1800.0, say)
    yield name
    # What chaos may have left is no obstacle: a full volume, a host without its network.
    sh(
        name,
        "trader-a",
        "fallocate -l 1G /var/lib/trading/full; dd if=/dev/zero of=/var/lib/trading/full 2>/dev/null; true",
    )
    sh(name, "store", "setsid sh -c 'sleep 0.3; ip link set eth0 down; ip link set eth1 down' >/dev/null 2>&1 &")
    time.sleep(0.5)
    said: list[str] = []
    environment.down(name, said.append)
    assert said == [f"environment {name}: down"]
    assert_gone(name, lab_home, 0)


def sh(name: str, host: str, command: str) -> str:
    done = zygote.run("env.exec", "--env", name, "--host", host, "--command", command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_output_is_the_inventory_and_a_preview_is_empty(made: str) -> None:
    inventory = json.loads(documents.render(existing.load(made)))
    record = home.read_record(made)
    assert record is not None
    text = """
import json, sys
from stormdesk.infra import automation, home
stack = automation.open_stack(home.read_record(sys.argv[1]), lambda: None)
print(json.dumps([stack.outputs()["stormdesk_inventory"].value]))
"""
    assert script(text, made) == [inventory]
    changes = pulumi.run("preview", made, pulumi.READ_S, say)
    assert set(changes) == {"same"}
    assert changes["same"] == 2 + 3 + 6 + 6 + 11  # stack, lab, networks, volumes, hosts, services


def test_a_full_disk_heals_on_it(made: str) -> None:
    done = zygote.run("chaos.disk-full", "--env", made, "--host", "trader-a", "--for", "10s")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_change_of_one_host_touches_that_host_alone(made: str) -> None:
    boots = {name: state["boots"] for name, state in control.status(made).items()}
    assert script(CHANGED, made, "700") == ["host-ops"]
    limit = sh(made, "ops", "cat /etc/stormdesk/lab.json")
    assert json.loads(limit)["memory_mib"] == 700
    assert script(CHANGED, made, "1024") == ["host-ops"]
    assert script(CHANGED, made, "1024") == []
    boots["ops"] += 2
    assert {name: state["boots"] for name, state in control.status(made).items()} == boots
    assert drift.find(made, False, say) == {}  # the services of the host that restarted run again


def test_drift_is_found_named_and_repaired(made: str) -> None:
    assert zygote.run("env.drift", "--env", made).returncode == 0
    sh(made, "trader-b", "ip link set eth1 down; iptables -A INPUT -s 10.6.6.6 -j DROP")
    sh(made, "ops", "tc qdisc add dev eth1 root tbf rate 1mbit burst 10k latency 50ms; supervisorctl stop prober")
    found = zygote.run("env.drift", "--env", made, "--json")
    assert found.returncode == 1, found.stderr
    rows = {row["part"]: row["differs"] for row in json.loads(found.stdout)["drift"]}
    assert rows.keys() == {"host-trader-b", "host-ops", "prober-on-ops"}
    assert "eth1 is down" in rows["host-trader-b"]
    assert "iptables -A INPUT -s 10.6.6.6/32 -j DROP" in rows["host-trader-b"]
    assert rows["host-ops"] == "qdisc tbf on eth1"
    assert rows["prober-on-ops"] == "not running: STOPPED"
    assert zygote.run("env.drift", "--env", made, "--mend").returncode == 0
    assert zygote.run("env.drift", "--env", made).returncode == 0
    assert "state UP" in sh(made, "trader-b", "ip -o link show eth1")


def test_a_host_that_is_off_is_started_again(made: str) -> None:
    init = processes.labs()[made]
    os.kill(control.host_pids(made, init)["ops"], signal.SIGKILL)
    deadline = time.monotonic() + 5
    while control.status(made)["ops"]["state"] == "up":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert drift.find(made, False, say)["host-ops"] == ["not up: off"]
    assert drift.find(made, True, say) == {}


def test_no_secret_is_in_the_state_or_in_a_log(made: str) -> None:
    folder = home.directory(made)
    material = msgspec.json.decode((folder / "material.json").read_bytes(), type=home.Material)
    pairs = (material.login, *material.host_keys.values())
    secrets = [material.credentials.api_secret, *(pair.private.splitlines()[2] for pair in pairs)]
    authority = folder / "ca/ca.key"
    secrets.append(authority.read_text().splitlines()[2])
    allowed = {folder / "material.json", folder / "id_ed25519", authority}
    began = (folder / "environment.json").stat().st_mtime
    runs = [path for run in Path("runs").glob("r-*") if run.stat().st_mtime > began for path in run.rglob("*")]
    assert runs  # a test before this one ran a fault
    files = [path for path in (*folder.rglob("*"), *runs) if path.is_file()]
    searched = [path for path in files if path not in allowed and path.suffix != ".ext4"]
    assert any(path.match("pulumi/state/.pulumi/stacks/**/*.json") for path in searched)
    for path in searched:
        text = path.read_bytes().decode(errors="replace")
        assert not [secret for secret in secrets if secret in text], path
        assert "PRIVATE KEY" not in text, path
    for path in (*allowed, folder / "pulumi/passphrase", folder / "environment.json"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_second_up_of_the_name_is_refused(made: str) -> None:
    done = zygote.run("env.up", "--name", made, "--engine", "pulumi")
    assert done.returncode == 3
    assert f"environment {made} is already up" in done.stderr


@pytest.fixture
def name(engine: Engine, lab_home: str) -> Iterator[str]:
    """A name for an environment; nothing of it is left in the end."""
    name = f"engine-{os.getpid()}"
    yield name
    environment.down(name, say)
    assert_gone(name, lab_home, 0)


def called(pid: int) -> str:
    """The name of a process, or "" when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@pytest.mark.parametrize("victim", ["command", "engine"])
def test_down_cleans_up_after_a_kill_in_the_middle_of_up(name: str, lab_home: str, victim: str) -> None:
    command = [sys.executable, "-m", "invoke", "env.up", "--name", name, "--engine", "pulumi"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not any(state["state"] == "up" for state in control.status(name).values()):
        assert time.monotonic() < deadline
        assert up.poll() is None
        time.sleep(0.05)
    init = processes.labs()[name]
    below = set(processes.descendants(up.pid)) - {init, *processes.descendants(init)}
    engines = [pid for pid in below if called(pid) == "pulumi"]
    assert engines
    os.kill(up.pid if victim == "command" else engines[0], signal.SIGKILL)
    up.communicate(timeout=120)
    while left := [pid for pid in below if processes.start_time(pid)]:
        assert time.monotonic() < deadline + 60, left
        time.sleep(0.05)
    said: list[str] = []
    environment.down(name, said.append)
    # Pulumi itself took it away, unless it was killed while it wrote its state.
    assert not [line for line in said if "without it" in line and "failed to load checkpoint" not in line], said
    assert_gone(name, lab_home, 0)
    environment.down(name, said.append)


def state_of(pid: int) -> str:
    """The letter of a process's state, X when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def stopped_holders(name: str) -> list[Mapping[str, Any]]:
    """Who holds the state, each stopped, so that it neither ends nor lets go."""
    held = pulumi.locks(name)
    for lock in held:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(lock["pid"]), signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while any(state_of(int(lock["pid"])) not in "TXZ" for lock in held):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a signal takes effect when the system call that it met has ended
    if held and pulumi.locks(name) == held and all(pulumi.alive(lock) for lock in held):
        return held
    for lock in held:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(lock["pid"]), signal.SIGCONT)
    return []


def test_the_lock_of_a_dead_engine_is_shown_before_it_is_broken(name: str) -> None:
    command = [sys.executable, "-m", "invoke", "env.up", "--name", name, "--engine", "pulumi"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not (held := stopped_holders(name)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    refused = zygote.run("env.unlock", "--env", name)
    assert (refused.returncode, f"pid {held[0]['pid']}" in refused.stdout) == (3, True)
    assert "still at work" in refused.stderr
    up.kill()
    up.communicate(timeout=30)
    while any(pulumi.alive(lock) for lock in held):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    done = zygote.run("env.unlock", "--env", name)
    assert done.returncode == 0, done.stderr
    assert f"{home.owner()}, pid {held[0]['pid']}" in done.stdout
    assert f"environment {name}: unlocked" in done.stdout
    assert pulumi.locks(name) == []


def test_the_project_of_the_checkout_is_the_same_program(name: str, lab_home: str) -> None:
    inventory, again, busy = script(PROJECT, name)
    assert isinstance(inventory, dict)
    assert isinstance(busy, float)
    assert busy < 0.2  # of a processor: it sleeps while the engine works
    assert sorted(inventory["hosts"]) == ["feed", "ops", "store", "trader-a", "trader-b", "venue"]
    assert again == {"same": 28}
    assert name not in processes.labs()
