"""A stack on two engines as services of a swarm: placed by label, reached by SSH, resolved by name, broken and healed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stormdesk.core.errors import HostError
from stormdesk.core.inventory import InventoryHost
from stormdesk.infra import ca, keys, pulumi_cli, rewriting, stacks
from stormdesk.infra.backends.docker import choices, declared_swarm, plan, swarm
from stormdesk.infra.backends.docker import engine as engine_
from stormdesk.infra.backends.docker.plan import Site
from stormdesk.infra.backends.docker.swarm import Node
from stormdesk.infra.topology import Topology
from tests.docker import engines, programs, stand
from tests.docker.engines import Dockerd
from tests.docker.stand import SshConfig, invoke
from tests.e2e.stack_harness import eventually
from tests.skips import cannot

pytestmark = pytest.mark.lab

NODES = (Node(label="a", address="192.0.2.1"), Node(label="b", address="192.0.2.2"))


@dataclass(frozen=True)
class Up:
    """The stack in its swarm; the first engine is the manager."""

    engines: tuple[Dockerd, Dockerd]
    topology: Topology
    site: Site
    ssh: SshConfig

    @property
    def manager(self) -> engine_.Engine:
        return self.engines[0].engine


@pytest.fixture(scope="module")
def pair(dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dockerd, Dockerd]]:
    """Two engines, each in a network of its own, with one cable between them, joined to one swarm."""
    folders = [tmp_path_factory.mktemp("node") for _ in NODES]
    with engines.dockerd(folders[0]) as a, engines.dockerd(folders[1]) as b:
        for it in (a, b):
            engines.load(it.engine, dependencies)
        cable(a, b)
        try:
            a.engine.run("swarm", "init", "--advertise-addr", NODES[0].address)
            token = a.engine.run("swarm", "join-token", "--quiet", "worker").strip()
            b.engine.run(
                "swarm", "join", "--token", token, "--advertise-addr", NODES[1].address, f"{NODES[0].address}:2377"
            )
        except HostError as error:
            cannot(f"no swarm on this kernel: {error}")
        for it, node in zip((a, b), NODES, strict=True):
            name = it.engine.run("info", "--format", "{{.Swarm.NodeID}}").strip()
            a.engine.run("node", "update", "--label-add", f"{swarm.NODE_LABEL}={node.label}", name)
        yield a, b
        leave(a, b)
    for folder in folders:
        shutil.rmtree(folder)


def cable(a: Dockerd, b: Dockerd) -> None:
    veth = [
        "ip",
        "link",
        "add",
        "cable",
        "netns",
        str(a.pid),
        "type",
        "veth",
        "peer",
        "name",
        "cable",
        "netns",
        str(b.pid),
    ]
    subprocess.run(veth, check=True, timeout=10)
    for it, node in zip((a, b), NODES, strict=True):
        subprocess.run(it.inside("ip", "addr", "add", f"{node.address}/24", "dev", "cable"), check=True, timeout=10)
        subprocess.run(it.inside("ip", "link", "set", "cable", "up"), check=True, timeout=10)


def leave(a: Dockerd, b: Dockerd) -> None:
    """The swarm ends as it began: with no node."""
    worker = b.engine.run("info", "--format", "{{.Swarm.NodeID}}").strip()
    b.engine.run("swarm", "leave")
    eventually(
        "the manager sees it go",
        lambda: "down" in a.engine.run("node", "ls", "--format", "{{.ID}} {{.Status}}").lower(),
        60,
    )
    a.engine.run("node", "rm", worker)
    assert len(a.engine.run("node", "ls", "--quiet").split()) == 1
    a.engine.run("swarm", "leave", "--force")
    for it in (a, b):
        assert it.engine.json("info", "--format", "{{json .Swarm.LocalNodeState}}") == "inactive"


@pytest.fixture(scope="module")
def up(pair: tuple[Dockerd, Dockerd], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("swarm")
    a, _ = pair
    topology = stacks.core(keys.credentials(ca.make()))
    image = a.engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "stormdesk-host").split()[0]
    site = stand.site("swarmed", topology, image, folder, engine_.abilities(a.engine, image))
    assert choices.labelled_nodes(a.engine) == NODES
    services = [swarm.service(topology, host, site, NODES) for host in topology.hosts]
    engine_.create_services(a.engine, plan.segments(topology, site), services)
    hosts = dict(swarm.inventory_hosts(topology, site, NODES))
    for it, node in zip(pair, NODES, strict=True):
        hosts |= stand.through(it, folder, {n: h for n, h in hosts.items() if h.address == node.address})
    made = Up(pair, topology, site, SshConfig(folder, stand.inventory(site, hosts, folder)))
    made.ssh.ready(topology, 90)
    yield made
    assert engine_.remove(a.engine, "swarmed")
    assert engine_.remove(a.engine, "swarmed") == []
    assert engine_.environments(a.engine) == {}
    for it in pair:
        eventually("no task is left", lambda it=it: not engine_.environments(it.engine), 60)


def test_hosts_are_on_both_machines_by_label_and_ssh_reaches_each(up: Up) -> None:
    at = swarm.placed(up.topology, NODES)
    assert {node.label for node in at.values()} == {"a", "b"}
    assert at["trader-a"] != at["trader-b"]
    for name, node in at.items():
        here = up.engines[NODES.index(node)].engine
        label = f"label=stormdesk.host={name}"
        assert len(here.run("container", "ls", "--quiet", "--filter", label).split()) == 1
        assert up.ssh.run(name, "hostname") == f"{name}\n"
        assert up.ssh.run(name, "stat -c %a /run /tmp /var/lib/trading").split() == ["755", "1777", "755"]


def test_hosts_reach_each_other_by_name_over_the_machines(up: Up) -> None:
    at = swarm.placed(up.topology, NODES)
    assert at["venue"] != at["trader-b"] or at["venue"] != at["trader-a"]
    for trader in ("trader-a", "trader-b"):
        up.ssh.run(trader, "ping -c 1 -W 2 venue.market && curl -fsS http://venue.market:8080/api/v3/ping")


def test_interfaces_have_the_names_of_the_topology(up: Up) -> None:
    links = json.loads(up.ssh.run("trader-a", "ip", "-j", "-4", "addr"))
    there = {link["ifname"]: link["addr_info"][0]["local"] for link in links}
    for place in up.topology.host("trader-a").placements:
        assert there[place.interface].rpartition(".")[0] == place.address.rpartition(".")[0]


def test_disk_full_is_held(up: Up) -> None:
    words = ("--inventory", str(up.ssh.inventory), "--host", "trader-a", "--percent", "100", "--for", "12s")
    done = invoke(up.ssh.folder, "chaos.disk-full", *words)
    assert done["verdict"] == "held", done
    assert done["residue"] == "clean"


def test_the_plugin_makes_the_same_services(up: Up, engine: pulumi_cli.Engine, tmp_path: Path) -> None:
    topology = part(rewriting.renumber(stacks.core(keys.credentials(ca.make())), 78), ("venue", "store"))
    ports = {name: port + 100 for name, port in up.site.ports.items()}
    site = stand.site("plugged", topology, up.site.image, tmp_path, up.site.abilities)
    site = dataclasses.replace(site, ports=ports)

    def program() -> None:
        declared_swarm.declare(topology, site, NODES)

    stack = programs.stack("plugged", program, engine, up.manager, tmp_path)
    try:
        assert programs.changes(stack.up())["create"] == 2 * 2 + len(topology.networks) + 1
        hosts: dict[str, InventoryHost] = {}
        for it, node in zip(up.engines, NODES, strict=True):
            found = swarm.inventory_hosts(topology, site, NODES)
            hosts |= stand.through(it, tmp_path, {n: h for n, h in found.items() if h.address == node.address})
        desk = SshConfig(tmp_path, stand.inventory(site, hosts, tmp_path))
        desk.ready(topology, 60)
        desk.run("store", "ping -c 1 -W 2 venue.mgmt")
        assert stack.preview().change_summary.keys() == {"same"}
        assert programs.changes(stack.refresh()) == {}
        assert stack.preview().change_summary.keys() == {"same"}
        stack.destroy()
        for it in up.engines:  # a swarm ends the containers of a service that is gone a little later
            eventually("no task is left", lambda it=it: "plugged" not in engine_.environments(it.engine), 60)
    finally:
        engine_.remove(up.manager, "plugged")


def part(topology: Topology, names: tuple[str, ...]) -> Topology:
    """Some hosts of a stack, with what is theirs."""
    return dataclasses.replace(
        topology,
        hosts=[h for h in topology.hosts if h.name in names],
        volumes=[v for v in topology.volumes if v.host in names],
        services=[s for s in topology.services if s.host in names],
    )
