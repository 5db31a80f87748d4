"""`env.up --backend docker` as a user types it: through the real engine and its plugin, in an engine's own network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stormdesk.core import inventory as documents
from stormdesk.infra import pulumi_cli
from stormdesk.infra.backends.docker import engine as engine_
from stormdesk.infra.backends.docker.swarm import NODE_LABEL
from tests.docker.engines import Dockerd
from tests.skips import cannot
from tests.support.invoking import ROOT

pytestmark = pytest.mark.lab

NAME = "contained"
Invoke = Callable[..., subprocess.CompletedProcess[str]]
NO_PLUGIN = "no Docker plugin of Pulumi, which is in no registry. Type: pulumi plugin install resource docker"


@pytest.fixture(scope="module")
def invoke(own_engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Invoke:
    """`invoke ...` beside the engine: where its hosts' ports on loopback are."""
    home = tmp_path_factory.mktemp("home")
    client = Path(shutil.which(own_engine.engine.command) or own_engine.engine.command).parent
    environ = os.environ | {
        "STORMDESK_HOME": str(home),
        "DOCKER_HOST": own_engine.engine.environ["DOCKER_HOST"],
        "PATH": f"{os.environ['PATH']}:{client}",
    }

    def run(*words: str, within_s: float = 300) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", f"--target={own_engine.pid}", "--net", sys.executable, "-m", "invoke", *words]
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=within_s, check=False
        )

    return run


@pytest.fixture(scope="module")
def made(invoke: Invoke, engine: pulumi_cli.Engine, own_engine: Dockerd) -> Iterator[str]:
    if not engine.has_plugin("docker"):
        cannot(NO_PLUGIN)
    done = invoke("env.up", "--name", NAME, "--backend", "docker", "--ttl", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    yield NAME
    engine_.remove(own_engine.engine, NAME)


def test_without_the_plugin_it_says_what_to_type(invoke: Invoke, engine: pulumi_cli.Engine) -> None:
    if engine.has_plugin("docker"):
        cannot("the plugin is there")
    done = invoke("env.up", "--name", NAME, "--backend", "docker")
    assert done.returncode == 3
    assert "plugin install resource docker" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_inventory_and_a_disk_that_heals(made: str, invoke: Invoke) -> None:
    done = invoke("env.export", "--env", made, "--format", "json")
    assert done.returncode == 0, done.stderr
    inventory = documents.parse(done.stdout.encode(), "inventory")
    assert sorted(inventory.hosts) == ["feed", "ops", "store", "trader-a", "trader-b", "venue"]
    rows = json.loads(invoke("env.status", "--env", made, "--json").stdout)["hosts"]
    assert {(row["name"], row["ssh"]) for row in rows} == {(name, True) for name in inventory.hosts}
    assert [row["services"] for row in rows if not all(row["services"].values())] == []
    done = invoke("chaos.disk-full", "--env", made, "--host", "trader-a", "--for", "10s")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_container_that_is_gone_is_drift_and_comes_back(made: str, invoke: Invoke, own_engine: Dockerd) -> None:
    assert invoke("env.drift", "--env", made).returncode == 0
    own_engine.engine.run("container", "rm", "--force", f"stormdesk-{made}-ops")
    found = invoke("env.drift", "--env", made, "--json")
    assert found.returncode == 1, found.stderr
    assert [row["part"] for row in json.loads(found.stdout)["drift"]] == [f"stormdesk-{made}-ops"]
    assert invoke("env.drift", "--env", made, "--mend").returncode == 0
    assert invoke("env.drift", "--env", made).returncode == 0


def test_down_works_after_a_container_was_removed_and_twice(made: str, invoke: Invoke, own_engine: Dockerd) -> None:
    own_engine.engine.run("container", "rm", "--force", f"stormdesk-{made}-feed")
    done = invoke("env.down", "--env", made)
    assert done.returncode == 0, done.stderr
    assert "without it" not in done.stdout
    assert engine_.environments(own_engine.engine) == {}
    assert invoke("env.down", "--env", made).returncode == 0


def test_the_same_on_a_swarm(invoke: Invoke, engine: pulumi_cli.Engine, own_engine: Dockerd) -> None:
    if not engine.has_plugin("docker"):
        cannot(NO_PLUGIN)
    run = own_engine.engine.run
    refused = invoke("env.up", "--name", NAME, "--backend", "swarm")
    assert (refused.returncode, "docker swarm init" in refused.stderr) == (3, True)
    run("swarm", "init", "--advertise-addr", "127.0.0.1")
    run("node", "update", "--label-add", f"{NODE_LABEL}=a", run("node", "ls", "--quiet").strip())
    done = invoke("env.up", "--name", NAME, "--backend", "swarm", "--ttl", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready after" in done.stdout
    done = invoke("chaos.disk-full", "--env", NAME, "--host", "trader-a", "--for", "10s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert invoke("env.down", "--env", NAME).returncode == 0
    assert engine_.environments(own_engine.engine) == {}
    run("swarm", "leave", "--force")


def test_a_lost_state_is_reaped_by_labels(invoke: Invoke, own_engine: Dockerd) -> None:
    label = ("--label", "stormdesk.environment=lost", "--label", "stormdesk.expires=2020-01-01T00:00:00Z")
    own_engine.engine.run("network", "create", *label, "stormdesk-lost-0-mgmt")
    done = invoke("env.reap")
    assert done.returncode == 0, done.stderr
    assert "environment lost on this Docker engine has expired" in done.stdout
    assert engine_.environments(own_engine.engine) == {}
