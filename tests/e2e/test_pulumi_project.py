"""`pulumi up` in the checkout, as a Pulumi user types it (docs/pulumi.md): the real CLI with a language host of the tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core import inventory as documents
from stormdesk.infra import environment, existing, home
from stormdesk.infra.backends.lab import control, processes, records
from stormdesk.infra.home import Record
from stormdesk.infra.pulumi_cli import Engine
from tests.e2e.lab_traces import assert_gone
from tests.e2e.pulumi_desk import Desk, photo

pytestmark = pytest.mark.lab
NAME = f"cli-{os.getpid()}"
ALL = 2 + 3 + 6 + 6 + 11  # stack, lab, networks, volumes, hosts, services


def say(_: str) -> None:
    """These tests look at what is there, not at what is said."""


@pytest.fixture(scope="module")
def desk(engine: Engine, lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A clean clone, logged in."""
    return Desk(tmp_path_factory.mktemp("desk"), engine)


@pytest.fixture
def stack(desk: Desk) -> Iterator[str]:
    """A stack that has no environment yet; in the end nothing is left of either."""
    name = f"{NAME}-x"
    desk.done("stack", "init", name)
    yield name
    environment.down(name, say)
    desk.done("destroy", "--yes")
    desk.done("stack", "rm", "--yes", "--force", name)


@pytest.fixture(scope="module")
def made(desk: Desk, lab_home: str) -> Iterator[str]:
    """An environment that `pulumi up` made; at the end `pulumi destroy` takes it away, and nothing of it is left."""
    desk.done("stack", "init", NAME)
    desk.done("config", "set", "ttl", "1h")
    desk.up()
    yield NAME
    desk.done("destroy", "--yes", "--stack", NAME)
    assert_gone(NAME, lab_home, 0)
    desk.done("destroy", "--yes", "--stack", NAME)
    desk.done("stack", "rm", "--yes", NAME)


@pytest.fixture
def here(desk: Desk, made: str) -> str:
    """The stack that `made` is of, selected."""
    desk.done("stack", "select", made)
    return made


def record_of(name: str) -> Record:
    found = home.read_record(name)
    assert found is not None
    return found


def listed(desk: Desk) -> dict[str, dict[str, str]]:
    """The environments by `env.list --json`."""
    ended = desk.invoke("env.list", "--json")
    assert ended.code == 0, ended.text
    document = next(line for line in ended.text.splitlines() if line.startswith('{"environments"'))
    return {row["name"]: row for row in json.loads(document)["environments"]}


def test_case_C70_up_from_a_clean_clone(desk: Desk, here: str) -> None:
    assert desk.outputs()["stormdesk_inventory"] == json.loads(documents.render(existing.load(here)))
    assert desk.changes() == {"same": ALL}
    assert f"{ALL} unchanged" in desk.up()


def test_case_C70_no_plugin_is_fetched_for_a_lab(desk: Desk, here: str) -> None:
    said = desk.done("preview", "--suppress-outputs", "-v=7", "--logtostderr")
    assert "EnsurePluginsAreInstalled(): completed" in said or "ensurePluginsAreInstalled(): completed" in said
    assert "not installed, doing install" not in said
    assert "ownloading" not in said


def test_case_C71_a_preview_and_a_refresh_of_what_runs_write_nothing(desk: Desk, here: str, lab_home: str) -> None:
    before = photo(f"{lab_home}/envs")
    desk.done("config", "set", "ttl", "3h")
    assert desk.changes()["update"] == 7  # the lab, and the marker of each host
    desk.done("config", "set", "ttl", "1h")
    assert desk.changes() == {"same": ALL}
    desk.done("refresh", "--yes")
    assert photo(f"{lab_home}/envs") == before


def test_case_C71_a_preview_of_a_new_name_leaves_nothing(desk: Desk, stack: str, lab_home: str) -> None:
    assert desk.changes() == {"create": ALL}
    desk.done("refresh", "--yes")
    assert not Path(lab_home, "envs", stack).exists()
    assert stack not in listed(desk)
    assert_gone(stack, lab_home, 0)


@pytest.mark.parametrize("engine_of_it", ["direct", "pulumi"])
def test_case_C71_C75_an_environment_of_another_engine_is_left_alone(
    desk: Desk, stack: str, lab_home: str, engine_of_it: str
) -> None:
    environment.up(stack, "core", "lab", engine_of_it, 600.0, say)
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
        environment.up(stack, "core", "lab", "direct", 600.0, say)
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


def test_case_C75_another_state_does_not_take_it_over(
    desk: Desk, here: str, lab_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, init = photo(f"{lab_home}/envs"), processes.labs()[here]
    with monkeypatch.context() as elsewhere:
        elsewhere.setitem(desk.environ, "PULUMI_BACKEND_URL", f"file://{tmp_path}")
        desk.done("stack", "init", here)
        ended = desk.pulumi("up", "--yes", "--skip-preview")
        assert ended.code != 0
        assert f"environment {here} is already up, and is not this stack's" in ended.text
        desk.done("destroy", "--yes")
    assert (photo(f"{lab_home}/envs"), processes.labs()[here]) == (before, init)
    assert desk.changes() == {"same": ALL}


def test_case_C73_the_ttl_of_now(desk: Desk, here: str) -> None:
    assert 3000 < home.seconds_left(record_of(here).expires_at) <= 3600
    boots = {name: state["boots"] for name, state in control.status(here).items()}
    desk.done("config", "set", "ttl", "30m")
    assert "7 updated" in desk.up()
    expires = record_of(here).expires_at
    assert 1500 < home.seconds_left(expires) <= 1800
    lab = records.read(here)
    assert lab is not None
    assert {lab.expires_at, existing.load(here).expires_at, listed(desk)[here]["expires_at"]} == {expires}
    marker = desk.invoke("env.exec", "--env", here, "--host", "ops", "--command", "cat /etc/stormdesk.target")
    assert json.loads(marker.text)["expires_at"] == expires
    assert {name: state["boots"] for name, state in control.status(here).items()} == boots
    assert desk.changes() == {"same": ALL}
    assert f"{ALL} unchanged" in desk.up()
    assert record_of(here).expires_at == expires


def test_case_C74_it_is_an_environment_like_any_other(desk: Desk, here: str) -> None:
    assert (listed(desk)[here]["state"], listed(desk)[here]["hosts"]) == ("running", 6)
    for task in ("env.status", "check.steady", "chaos.status", "env.drift"):
        ended = desk.invoke(task, "--env", here)
        assert ended.code == 0, ended.text
    assert desk.invoke("env.exec", "--env", here, "--host", "trader-b", "--command", "ip link set eth1 down").code == 0
    assert desk.invoke("env.drift", "--env", here).code == 1
    assert "host-trader-b updated" in desk.done("refresh", "--yes", "--suppress-outputs")
    assert desk.changes()["update"] >= 1
    assert "host-trader-b updated" in desk.done("up", "--yes", "--skip-preview", "--refresh", "--suppress-outputs")
    assert desk.invoke("env.drift", "--env", here).code == 0
    assert desk.invoke("env.exec", "--env", here, "--host", "trader-b", "--command", "ip link set eth1 down").code == 0
    assert desk.invoke("env.drift", "--env", here, "--mend").code == 0
    assert desk.changes() == {"same": ALL}
    assert f"pulumi cancel --stack {here}" in desk.invoke("env.unlock", "--env", here).text


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("ttl", "soon", "ttl: soon"),
        ("ttl", "8h30", "ttl: 8h30"),
        ("ttl", "200h", "ttl: "),
        ("ttl", "5s", "ttl: ttl 5s"),
        ("ttl", "", "ttl: "),
        ("backend", "nope", "backend 'nope'"),
        ("backend", "docker", "backend 'docker': `pulumi up` makes labs"),
        ("topology", "big", "no topology 'big'"),
        ("topology", "scale:many", "no topology 'scale:many'"),
        ("topology", "scale:0", "--topology scale:0: 7 to 200 hosts"),
        ("tll", "1h", "no setting 'tll'. Did you mean ttl?"),
    ],
)
def test_case_C72_C77_a_bad_setting_is_one_line_and_writes_nothing(
    desk: Desk, here: str, lab_home: str, key: str, text: str, said: str
) -> None:
    before = photo(f"{lab_home}/envs")
    desk.done("config", "set", key, "--", text)
    try:
        for words in (("preview",), ("up", "--yes", "--skip-preview")):
            ended = desk.pulumi(*words)
            assert ended.code != 0
            assert "Traceback" not in ended.text
            assert 'File "' not in ended.text
            assert (
                len({line.strip() for line in ended.text.splitlines() if line.strip().startswith(f"error: {said}")})
                == 1
            )
        assert photo(f"{lab_home}/envs") == before
        assert here in listed(desk)
    finally:
        desk.done("config", "rm", key)
        desk.done("config", "set", "ttl", "30m")


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


def test_a_lab_that_ended_is_made_again_by_the_next_up(desk: Desk, here: str, lab_home: str) -> None:
    os.kill(processes.labs()[here], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while records.running(here):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    desk.done("refresh", "--yes")
    desk.up()
    assert desk.changes() == {"same": ALL}
    assert desk.invoke("env.drift", "--env", here).code == 0
    environment.down(here, say)
    assert_gone(here, lab_home, 0)
    assert desk.changes()["update"] == ALL - 1
    desk.up()
    assert len(existing.load(here).hosts) == 6
    assert desk.changes() == {"same": ALL}


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
