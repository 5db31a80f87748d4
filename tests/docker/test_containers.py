"""The core stack as containers, created by the engine's command line: it trades, a fault heals, and removal leaves nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra import ca, keys, rewriting, stacks
from stormdesk.infra.backends.docker import choices, plan
from stormdesk.infra.backends.docker import engine as engine_
from stormdesk.infra.backends.docker import image as image_
from stormdesk.infra.backends.docker.plan import Site
from stormdesk.infra.topology import Topology
from tests.docker import stand
from tests.docker.engines import Dockerd
from tests.docker.stand import SshConfig, invoke

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class Up:
    """The stack on its engine."""

    engine: Dockerd
    topology: Topology
    site: Site
    ssh: SshConfig


@pytest.fixture(scope="module")
def up(own_engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("docker")
    it = own_engine.engine
    image = image_.tag(image_.BUILT_BASE)
    topology = rewriting.renumber(stacks.core(keys.credentials(ca.make())), 78)
    site = stand.site("docked", topology, image, folder, engine_.abilities(it, image))
    containers = [plan.container(topology, host, site) for host in topology.hosts]
    engine_.create(it, plan.segments(topology, site), containers)
    hosts = stand.through(own_engine, folder, plan.inventory_hosts(topology, site))
    made = Up(own_engine, topology, site, SshConfig(folder, stand.inventory(site, hosts, folder)))
    assert made.ssh.ready(topology, 60) == ["SSH on 6 hosts", "11 services listening", "ready"]
    yield made
    gone = engine_.remove(it, "docked")
    assert len(gone) == len(topology.hosts) + len(topology.networks), gone
    assert engine_.remove(it, "docked") == []
    assert engine_.environments(it) == {}


def test_ssh_needs_the_key_that_the_inventory_names(up: Up) -> None:
    assert up.ssh.run("trader-a", "hostname") == "trader-a\n"
    other = up.ssh.folder / "other"
    other.mkdir()
    text = up.ssh.inventory.read_text().replace(up.site.host_keys["trader-a"].public, keys.generate().public)
    (other / "inventory.json").write_text(text)
    stranger = SshConfig(other, other / "inventory.json")
    assert "HOST IDENTIFICATION HAS CHANGED" in stranger.ssh("trader-a", "true").stderr
    words = ("--inventory", str(stranger.inventory), "--host", "trader-a", "--for", "3s")
    assert "key" in invoke(other, "chaos.disk-full", *words, code=3)["stderr"]


def test_a_host_is_what_its_topology_says(up: Up) -> None:
    for name in ("trader-a", "venue", "store"):
        host = up.topology.host(name)
        links = json.loads(up.ssh.run(name, "ip", "-j", "addr"))
        there = {
            (link["ifname"], f"{a['local']}/{a['prefixlen']}")
            for link in links for a in link["addr_info"] if a["scope"] == "global"
        }  # fmt: skip
        assert there == {(p.interface, a) for p in host.placements for a in (p.address, p.address6)}
    routes = up.ssh.run("trader-a", "ip route; ip -6 route")
    assert "10.88.0.0/16 via 10.78.2.16" in routes
    assert "fd88::/64 via fd78:0:0:2::16" in routes
    size_kib = int(up.ssh.run("trader-a", "df -k --output=size /var/lib/trading | tail -1"))
    assert size_kib == 256 * 1024
    assert json.loads(up.ssh.run("trader-a", "cat /etc/stormdesk.target"))["environment"] == "docked"
    facts = json.loads(up.ssh.run("trader-a", "cat /etc/stormdesk/lab.json"))
    assert facts["volume"] == "tmpfs"
    assert up.ssh.run("trader-a", "cat /proc/1/cmdline") == "init\0"


def test_only_named_capabilities_and_no_port_but_on_loopback(up: Up) -> None:
    for name in engine_ids(up):
        it = up.engine.engine.json("container", "inspect", name)[0]["HostConfig"]
        assert not it["Privileged"]
        assert it["CapDrop"] == ["ALL"]
        assert {c.removeprefix("CAP_") for c in it["CapAdd"]} == {
            c.removeprefix("CAP_") for c in plan.container(up.topology, up.topology.hosts[0], up.site).capabilities
        }
        assert {b["HostIp"] for bs in it["PortBindings"].values() for b in bs} == {"127.0.0.1"}


def test_disk_full_is_held(up: Up) -> None:
    words = ("--inventory", str(up.ssh.inventory), "--host", "trader-a", "--percent", "100", "--for", "12s")
    done = invoke(up.ssh.folder, "chaos.disk-full", *words)
    assert done["verdict"] == "held", done
    assert done["residue"] == "clean"


def test_a_host_that_restarts_is_the_same_host(up: Up) -> None:
    up.engine.engine.run("container", "restart", "stormdesk-docked-trader-b")
    up.ssh.ready(up.topology, 60)
    assert "RUNNING" in up.ssh.run("trader-b", "supervisorctl", "-c", "/etc/supervisor/supervisord.conf", "status")
    assert "10.88.0.0/16 via 10.78.2.16" in up.ssh.run("trader-b", "ip route")


def test_what_is_chosen_for_an_environment(up: Up) -> None:
    chosen = choices.choose(up.engine.engine, up.topology, print)
    assert (chosen.image, chosen.net, chosen.abilities) == (up.site.image, 77, up.site.abilities)
    assert len(set(chosen.ports.values())) == len(up.topology.hosts)
    kept = msgspec.json.decode(msgspec.json.encode(chosen), type=choices.Choices)
    assert kept == chosen
    with pytest.raises(RefusedError, match="swarm init"):
        choices.choose(up.engine.engine, up.topology, print, in_swarm=True)


def test_removal_does_not_mind_what_is_gone_already(up: Up) -> None:
    it = up.engine.engine
    topology = rewriting.renumber(stacks.core(keys.credentials(ca.make())), 77)
    site = stand.site("broken", topology, up.site.image, up.engine.folder, up.site.abilities)
    site = dataclasses.replace(site, ports={name: port + 100 for name, port in site.ports.items()})
    hosts = [plan.container(topology, topology.host(name), site) for name in ("trader-a", "store")]
    engine_.create(it, plan.segments(topology, site), hosts)
    it.run("container", "rm", "--force", hosts[0].name)
    it.run("network", "disconnect", "--force", hosts[1].networks[1].network, hosts[1].name)
    assert len(engine_.remove(it, "broken")) == 1 + len(topology.networks)
    assert engine_.remove(it, "broken") == []
    assert set(engine_.environments(it)) == {"docked"}


def test_two_environments_do_not_clash(up: Up) -> None:
    net = engine_.free_net(up.engine.engine)
    assert net == 77
    topology = rewriting.renumber(stacks.core(keys.credentials(ca.make())), net)
    site = stand.site("second", topology, up.site.image, up.engine.folder, up.site.abilities)
    engine_.create(up.engine.engine, plan.segments(topology, site), ())
    try:
        assert engine_.free_net(up.engine.engine) == 79
        assert set(engine_.environments(up.engine.engine)) == {"docked", "second"}
        assert engine_.expired(up.engine.engine, datetime.now(UTC)) == []
        assert set(engine_.expired(up.engine.engine, datetime(2099, 1, 2, tzinfo=UTC))) == {"docked", "second"}
    finally:
        gone = engine_.remove(up.engine.engine, "second")
    assert len(gone) == len(topology.networks)
    assert len(engine_ids(up)) == len(up.topology.hosts)


def engine_ids(up: Up) -> list[str]:
    return up.engine.engine.run("container", "ls", "--quiet", "--filter", f"label={plan.LABEL}=docked").split()
