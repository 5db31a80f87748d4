"""A lab's life cycle: it starts once, ends on request, at its expiry or after any crash, and leaves nothing on the machine."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra import environment, existing, home
from stormdesk.infra.backends.lab import processes, records
from stormdesk.infra.stacks import NETWORKS
from stormdesk.infra.topology import Host, Placement, Topology, Volume
from tests.e2e.lab_traces import assert_gone, traces

pytestmark = pytest.mark.lab

PAIR = Topology(
    name="pair",
    networks=NETWORKS[:1],
    hosts=[
        Host(
            name=f"h{i}",
            role="plain",
            placements=[
                Placement(network="mgmt", interface="eth0", address=f"10.77.0.{i}/24", address6=f"fd77::{i}/64")
            ],
        )
        for i in (11, 12)
    ],
    volumes=[Volume(host="h11", path="/var/lib/trading", size_mib=64)],
)
UP = """
import sys
from stormdesk.infra import environment, existing, home
environment.up(sys.argv[1], "core", "lab", "direct", float(sys.argv[2]), print)
"""


def say(_: str) -> None:
    """These tests look at the machine, not at what is said."""


def run(name: str, host: str, command: str) -> subprocess.CompletedProcess[str]:
    config = f"{home.home()}/envs/{name}/ssh_config"
    return subprocess.run(["ssh", "-F", config, host, command], capture_output=True, text=True, timeout=20, check=False)


def controller(name: str, ttl_s: int) -> subprocess.Popen[bytes]:
    """`up` in a process of its own, to be killed."""
    return subprocess.Popen([sys.executable, "-c", UP, name, str(ttl_s)], stdout=subprocess.PIPE)


@pytest.fixture
def name(lab_home: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a lab; whatever the test left of it is taken down."""
    name = f"life-{os.getpid()}"
    yield name
    environment.down(name, say)
    assert_gone(name, lab_home, 0)


@pytest.fixture
def pair(name: str) -> str:
    """Two small hosts without services, up."""
    environment.up(name, PAIR, "lab", "direct", 600, say)
    return name


def test_down_takes_everything_and_may_be_repeated(pair: str, lab_home: str) -> None:
    before = traces(pair, lab_home)
    kinds = {trace.split()[0] for trace in before}
    assert {"process", "loop", "file"} <= kinds, before  # else the finder is blind
    environment.down(pair, say)
    assert_gone(pair, lab_home, 0)
    environment.down(pair, say)


def test_a_second_up_of_the_same_name_is_refused(pair: str) -> None:
    with pytest.raises(RefusedError, match="already up"):
        environment.up(pair, PAIR, "lab", "direct", 600, say)
    assert run(pair, "h11", "true").returncode == 0


def test_of_two_ups_at_the_same_time_one_is_refused(name: str) -> None:
    results: list[object] = []

    def attempt() -> None:
        try:
            results.append(environment.up(name, PAIR, "lab", "direct", 600, say).environment)
        except RefusedError as error:
            results.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [r for r in results if r == name] == [name], results
    assert [type(r) for r in results if r != name] == [RefusedError]


def test_two_labs_with_the_same_addresses_do_not_meet(pair: str, lab_home: str) -> None:
    other = f"{pair}-b"
    try:
        environment.up(other, PAIR, "lab", "direct", 600, say)
        for lab in (pair, other):
            assert run(lab, "h11", f"echo {lab} >/var/lib/trading/mine; ping -c 1 -W 2 h12").returncode == 0
        assert run(pair, "h11", "cat /var/lib/trading/mine").stdout == f"{pair}\n"
    finally:
        environment.down(other, say)
    assert_gone(other, lab_home, 0)
    assert run(pair, "h11", "true").returncode == 0


def test_a_lab_ends_by_itself_when_its_controller_is_dead(name: str, lab_home: str) -> None:
    up = controller(name, 20)
    started = time.monotonic()
    assert up.stdout is not None
    while b"SSH on" not in up.stdout.readline():
        assert up.poll() is None
    up.kill()
    up.wait()
    up.stdout.close()
    assert run(name, "store", "fsfreeze -f /var/lib/trading").returncode == 0  # must not keep it from ending
    assert records.running(name)
    assert_gone(name, lab_home, 25 - (time.monotonic() - started))
    assert time.monotonic() - started > 15


def test_down_after_a_kill_of_up_at_any_moment(name: str, lab_home: str, repeats: Callable[[int], int]) -> None:
    moments = random.Random(7)
    for _ in range(repeats(20)):
        moment = moments.uniform(0.0, 0.9)
        up = controller(name, 600)
        time.sleep(moment)
        up.send_signal(signal.SIGKILL)
        up.wait()
        assert up.stdout is not None
        up.stdout.close()
        left = traces(name, lab_home)
        print(f"killed after {moment:.2f} s: {len(left)} traces")
        environment.down(name, say)
        assert_gone(name, lab_home, 0)


def wait_for_a_blocked_writer(name: str) -> None:
    """Some process of the lab is in uninterruptible sleep: it cannot be killed until the volume is thawed."""
    deadline = time.monotonic() + 20
    states: set[str] = set()
    while "D" not in states:
        assert time.monotonic() < deadline, f"no writer hangs: {states}"
        pids = processes.descendants(processes.labs()[name])
        states = {state_of(pid) for pid in pids}


def state_of(pid: int) -> str:
    """The state letter of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""


@pytest.mark.parametrize(
    "command",
    [
        "fsfreeze -f /var/lib/trading; (echo x >/var/lib/trading/x &) ; sleep 0.2",
        "kill -9 -1",
        "reboot -f",
        "trap '' TERM; (sleep 600 & echo) ; kill -STOP $!; ip link set eth0 down",
        "fallocate -l 60M /var/lib/trading/full; mount -o remount,ro /var/lib/trading; iptables -A INPUT -j DROP",
        "mount -t tmpfs none /mnt; unshare -n sleep 600 >/dev/null 2>&1 & sleep 0.1",
    ],
    ids=["frozen", "killed-all", "rebooting", "stopped-and-cut", "full-and-read-only", "own-namespaces"],
)
def test_down_in_a_bad_moment(pair: str, lab_home: str, command: str) -> None:
    config = f"{home.home()}/envs/{pair}/ssh_config"
    with subprocess.Popen(["ssh", "-F", config, "h11", command], stderr=subprocess.DEVNULL) as ssh:
        try:
            time.sleep(0.8)
            if "fsfreeze" in command:
                wait_for_a_blocked_writer(pair)
            started = time.monotonic()
            environment.down(pair, say)
            took = time.monotonic() - started
        finally:
            ssh.kill()  # nobody is left to tell it that the connection is over
    assert_gone(pair, lab_home, 0)
    assert took < 5


def test_reap_removes_what_a_killed_lab_init_left(pair: str, lab_home: str) -> None:
    os.kill(processes.labs()[pair], signal.SIGKILL)
    deadline = time.monotonic() + 5
    while records.running(pair):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "file" in {trace.split()[0] for trace in traces(pair, lab_home)}
    with pytest.raises(RefusedError, match="not running"):
        existing.load(pair)
    assert pair in environment.reap(say)
    assert_gone(pair, lab_home, 0)


def test_a_lab_whose_state_is_lost_is_found_and_taken_down(pair: str, lab_home: str) -> None:
    records.run_dir(pair).joinpath("lab.json").unlink()
    assert pair in [e.name for e in existing.environments() if e.state == "running"]
    environment.down(pair, say)
    assert_gone(pair, lab_home, 0)


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(name: str, lab_home: str) -> None:
    """An interface name that the kernel keeps for itself: only making it shows that."""
    first, second = PAIR.hosts
    second = dataclasses.replace(second, placements=[dataclasses.replace(second.placements[0], interface="all")])
    broken = dataclasses.replace(PAIR, hosts=[first, second])
    with pytest.raises(RefusedError, match="did not start, and nothing of it is left: host h1"):
        environment.up(name, broken, "lab", "direct", 600, say)
    assert_gone(name, lab_home, 0)
