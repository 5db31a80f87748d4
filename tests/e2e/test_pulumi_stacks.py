"""`pulumi up` in the checkout for stacks that come and go, beside environments of other engines and homes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.infra import environment, home
from stormdesk.infra.backends.lab import control, processes
from stormdesk.infra.pulumi_cli import Engine
from stormdesk.infra.stacks import NETWORKS
from stormdesk.infra.topology import Host, Placement, Topology
from tests.e2e.lab_traces import assert_gone
from tests.e2e.pulumi_desk import ALL, Desk, listed, photo, record_of, say

pytestmark = pytest.mark.lab
NAME = f"cli-{os.getpid()}-x"
LINKS = [
    Placement(network=net, interface=f"eth{i}", address=f"10.77.{i}.14/24", address6=f"fd77:0:0:{i}::14/64")
    for i, net in enumerate(("mgmt", "market"))
]
# Of an environment that `pulumi up` leaves alone: it has no services to start.
ONE = Topology(name="one", networks=NETWORKS[:2], hosts=[Host(name="trader-b", role="plain", placements=LINKS)])


@pytest.fixture(scope="module")
def desk(engine: Engine, lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A clean clone, logged in."""
    return Desk(tmp_path_factory.mktemp("desk"), engine)


@pytest.fixture
def stack(desk: Desk) -> Iterator[str]:
    """A stack that has no environment yet; in the end nothing is left of either."""
    desk.done("stack", "init", NAME)
    yield NAME
    environment.down(NAME, say)
    desk.done("destroy", "--yes")
    desk.done("stack", "rm", "--yes", "--force", NAME)


def test_case_C71_a_preview_of_a_new_name_leaves_nothing(desk: Desk, stack: str, lab_home: str) -> None:
    assert desk.changes() == {"create": ALL}
    desk.done("refresh", "--yes")
    assert not Path(lab_home, "envs", stack).exists()
    assert stack not in listed(desk)
    assert_gone(stack, lab_home, 0)


@pytest.mark.parametrize(("engine_of_it", "topology"), [("direct", ONE), ("pulumi", "core")], ids=["direct", "pulumi"])
def test_case_C71_C75_an_environment_of_another_engine_is_left_alone(
    desk: Desk, stack: str, lab_home: str, engine_of_it: str, topology: Topology | str
) -> None:
    environment.up(stack, topology, "lab", engine_of_it, 600.0, say)
    before, init = photo(f"{lab_home}/envs/{stack}"), processes.labs()[stack]
    for words in (("preview",), ("up", "--yes"), ("up", "--yes", "--refresh", "--skip-preview")):
        ended = desk.pulumi(*words)
        assert ended.code != 0
        assert f"environment {stack} was made by `invoke env.up` (engine {engine_of_it})" in ended.text
        assert "Traceback" not in ended.text
    desk.done("refresh", "--yes")
    desk.done("destroy", "--yes")
    assert photo(f"{lab_home}/envs/{stack}") == before
    assert (processes.labs()[stack], record_of(stack).engine) == (init, engine_of_it)
    subprocess.run(
        ["ssh", "-F", f"{lab_home}/envs/{stack}/ssh_config", "trader-b", "ip link set eth1 down"],
        check=True,
        timeout=30,
    )
    drifted = desk.invoke("env.drift", "--env", stack)
    assert (drifted.code, "eth1 is down" in drifted.text) == (1, True)


def test_case_C75_an_environment_of_another_home_is_left_alone(
    desk: Desk, stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("STORMDESK_HOME", str(tmp_path))
        environment.up(stack, ONE, "lab", "direct", 600.0, say)
    try:
        init = processes.labs()[stack]
        for words in (("preview",), ("up", "--yes", "--skip-preview")):
            ended = desk.pulumi(*words)
            assert ended.code != 0
            assert f"environment {stack} is already up, from {tmp_path}/envs/{stack}" in ended.text
        assert processes.labs()[stack] == init
    finally:
        monkeypatch.setenv("STORMDESK_HOME", str(tmp_path))
        environment.down(stack, say)


@pytest.mark.parametrize("name", ["Demo", "my_stack", "a.b", "1st", "a" * 32])
def test_case_C77_a_stack_whose_name_no_environment_can_have(desk: Desk, name: str, lab_home: str) -> None:
    desk.done("stack", "init", name)
    try:
        ended = desk.pulumi("preview")
        assert ended.code != 0
        assert f"error: name '{name}': lower-case letters" in ended.text
        assert "Traceback" not in ended.text
        assert not Path(lab_home, "envs", name).exists()
    finally:
        desk.done("stack", "rm", "--yes", name)


def test_case_C76_after_destroy_nothing_is_left_and_up_starts_anew(desk: Desk, stack: str, lab_home: str) -> None:
    """Also after a kill -9 in the middle of `up`, and with a new time to live."""
    desk.done("config", "set", "ttl", "2h")
    up = desk.start("up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 60
    while not any(state["state"] == "up" for state in control.status(stack).values()):
        assert time.monotonic() < deadline
        assert up.poll() is None
        time.sleep(0.05)
    init = processes.labs()[stack]
    below = set(processes.descendants(up.pid)) - {init, *processes.descendants(init)}
    for pid in (up.pid, *below):  # the CLI's own helpers do not all notice its end
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    up.wait(60)
    assert up.stdout is not None
    up.stdout.close()
    while left := [pid for pid in below if processes.start_time(pid)]:
        assert time.monotonic() < deadline + 60, left
        time.sleep(0.05)
    desk.done("cancel", "--yes", stack)
    desk.up()
    assert processes.labs()[stack] == init
    assert desk.changes() == {"same": ALL}
    desk.done("destroy", "--yes")
    assert_gone(stack, lab_home, 0)
    assert stack not in listed(desk)
    desk.done("config", "set", "ttl", "5m")
    desk.up()
    assert 200 < home.seconds_left(record_of(stack).expires_at) <= 300
    desk.done("destroy", "--yes")
    assert_gone(stack, lab_home, 0)
