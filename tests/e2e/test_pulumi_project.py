"""`pulumi up` in the checkout, as a Pulumi user types it (docs/pulumi.md): the real CLI with a language host of the tests."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core import inventory as documents
from stormdesk.infra import environment, existing, home
from stormdesk.infra.backends.lab import control, processes, records
from stormdesk.infra.pulumi_cli import Engine
from tests.e2e.lab_traces import assert_gone
from tests.e2e.pulumi_desk import ALL, Desk, listed, photo, record_of, say

pytestmark = pytest.mark.lab
NAME = f"cli-{os.getpid()}"


@pytest.fixture(scope="module")
def desk(engine: Engine, lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A clean clone, logged in."""
    return Desk(tmp_path_factory.mktemp("desk"), engine)


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


def test_case_C75_another_state_does_not_take_it_over(
    desk: Desk, here: str, lab_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, init = photo(f"{lab_home}/envs"), processes.labs()[here]
    with monkeypatch.context() as elsewhere:
        elsewhere.setitem(desk.environ, "PULUMI_BACKEND_URL", f"file://{tmp_path}")
        desk.done("stack", "init", here)
        ended = desk.pulumi("up", "--yes", "--skip-preview")
        assert ended.code != 0
        assert f"environment {here} is already up, and does not belong to this stack" in ended.text
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
        ("init", "upstart", "init: no init 'upstart'"),
        ("tll", "1h", "no setting 'tll'. Did you mean ttl?"),
    ],
)
def test_case_C72_C77_a_bad_setting_is_one_line_and_writes_nothing(
    desk: Desk, here: str, lab_home: str, key: str, text: str, said: str
) -> None:
    before, settings = photo(f"{lab_home}/envs"), desk.clone / f"Pulumi.{here}.yaml"
    good = settings.read_text()
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
        settings.write_text(good)


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


def test_a_stack_whose_hosts_have_systemd(desk: Desk, lab_home: str) -> None:
    name = f"{NAME}-systemd"
    desk.done("stack", "init", name)
    desk.done("config", "set", "init", "systemd")
    try:
        desk.up()
        managers = {it.manager for host in existing.load(name).hosts.values() for it in host.services.values()}
        assert managers == {"systemd"}
        said = desk.invoke("env.exec", "--env", name, "--host", "trader-a", "--command", "cat /proc/1/comm")
        assert (said.code, "systemd" in said.text.split()) == (0, True), said.text
        assert desk.changes() == {"same": ALL}
        desk.done("config", "set", "init", "busybox")
        ended = desk.pulumi("preview")
        assert ended.code != 0
        assert f"error: init busybox: environment {name} runs with systemd, and hosts cannot change it." in ended.text
        desk.done("config", "set", "init", "systemd")
    finally:
        desk.done("destroy", "--yes", "--stack", name)
        desk.done("stack", "rm", "--yes", name)
    assert_gone(name, lab_home, 0)
