"""The same stacks, created by the real Pulumi engine and its Docker plugin."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pytest
from pulumi import automation

from stormdesk.infra import ca, keys, pulumi_cli, stacks
from stormdesk.infra.backends.docker import declared, plan
from stormdesk.infra.backends.docker import engine as engine_
from stormdesk.infra.backends.docker import image as image_
from stormdesk.infra.backends.docker.plan import Site
from stormdesk.infra.topology import Topology
from tests.docker import programs, stand
from tests.docker.engines import Dockerd
from tests.docker.stand import SshConfig, invoke

pytestmark = pytest.mark.lab

NAME = "plugged"


@dataclass
class Stack:
    """A stack whose program can be changed between its runs."""

    it: automation.Stack
    topology: Topology
    site: Site
    state: Path


@pytest.fixture(scope="module")
def stack(own_engine: Dockerd, engine: pulumi_cli.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("pulumi")
    docker = own_engine.engine
    image = image_.tag(image_.BUILT_BASE)
    topology = stacks.core(keys.credentials(ca.make()))
    site = stand.site(NAME, topology, image, folder, engine_.abilities(docker, image))

    def program() -> None:
        hosts = declared.declare(made.topology, made.site)
        pulumi.export("hosts", {name: host.port for name, host in hosts.items()})

    it = programs.stack(NAME, program, engine, docker, folder)
    made = Stack(it, topology, site, folder / "state")
    yield made
    engine_.remove(docker, NAME)


def test_the_stack_as_its_plugin_makes_it(stack: Stack, own_engine: Dockerd, tmp_path: Path) -> None:
    hosts, networks = stack.topology.hosts, stack.topology.networks
    assert programs.changes(stack.it.up())["create"] == len(hosts) + len(networks) + 1
    found = dict(stand.through(own_engine, tmp_path, plan.inventory_hosts(stack.topology, stack.site)))
    desk = SshConfig(tmp_path, stand.inventory(stack.site, found, tmp_path))
    desk.ready(stack.topology, 60)
    places = [(name, p) for name in ("venue", "trader-a") for p in stack.topology.host(name).placements]
    for name, place in places:
        shown = desk.run(name, "ip", "-br", "addr", "show", "dev", place.interface)
        assert place.address in shown
        assert place.address6 in shown
    assert stack.it.preview().change_summary.keys() == {"same"}
    assert programs.changes(stack.it.refresh()) == {}

    others = container_ids(own_engine) - container_ids(own_engine, "trader-b")
    changed = [dataclasses.replace(h, memory_mib=900) if h.name == "trader-b" else h for h in hosts]
    stack.topology = dataclasses.replace(stack.topology, hosts=changed)
    assert programs.changes(stack.it.up()) in (
        {"replace": 1},
        {"delete-replaced": 1, "create-replacement": 1, "replace": 1},
    )
    assert container_ids(own_engine) - container_ids(own_engine, "trader-b") == others

    words = ("--inventory", str(desk.inventory), "--host", "trader-a", "--percent", "100", "--for", "12s")
    assert invoke(tmp_path, "chaos.disk-full", *words)["verdict"] == "held"

    kept = [path.read_text() for path in stack.state.rglob("*.json")]
    assert sum("stormdesk-plugged-trader-a" in text for text in kept) > 2  # of the stack, its backups and its history
    (trader,) = stack.topology.services_on("trader-a")
    for secret in ("PRIVATE KEY", trader.config["api_secret"]):
        assert not [text for text in kept if secret in text]

    own_engine.engine.run("container", "rm", "--force", "stormdesk-plugged-venue")
    stack.it.destroy(refresh=True)
    stack.it.destroy(refresh=True)
    assert engine_.environments(own_engine.engine) == {}


def container_ids(own: Dockerd, host: str = "") -> set[str]:
    labels = [f"label={plan.LABEL}={NAME}", *([f"label=stormdesk.host={host}"] if host else [])]
    words = [word for label in labels for word in ("--filter", label)]
    return set(own.engine.run("container", "ls", "--quiet", *words).split())
