"""A host becomes one container, in every form: the engine's command line, Pulumi, Swarm."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from typing import Any

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.infra import keys, rewriting, stacks
from stormdesk.infra.backends.docker import argv, plan, swarm
from stormdesk.infra.backends.docker.plan import Abilities, Container, Site
from stormdesk.infra.topology import Topology

CORE = stacks.core(stacks.Credentials(api_key="key", api_secret="secret"))
ABLE = Abilities(cgroup="v2", processes=True, oom=True, sized_volumes=True)


def site(**values: Any) -> Site:
    common: dict[str, Any] = {
        "environment": "demo",
        "owner": "me@here",
        "expires_at": "2099-01-01T00:00:00Z",
        "image": "stormdesk-host:1",
        "authorized_key": "ssh-ed25519 LOGIN",
        "identity_file": "/home/me/id",
        "host_keys": {
            h.name: keys.KeyPair(private=f"PRIVATE {h.name}", public=f"ssh-ed25519 {h.name}") for h in CORE.hosts
        },
        "ports": {h.name: 2201 + i for i, h in enumerate(CORE.hosts)},
    }
    return Site(**{**common, **values})


def trader(**abilities: Any) -> Container:
    return plan.container(CORE, CORE.host("trader-a"), site(abilities=Abilities(**abilities)))


def after(words: list[str], flag: str) -> list[str]:
    """The values of a flag that may be there several times."""
    return [words[i + 1] for i, word in enumerate(words) if word == flag]


def test_the_command_line_says_all_that_the_value_says() -> None:
    it = plan.container(CORE, CORE.host("trader-a"), site(abilities=ABLE))
    words = list(argv.create(it))
    assert words[words.index("stormdesk-host:1") + 1 :] == list(it.command)
    assert after(words, "--name") == ["stormdesk-demo-trader-a"]
    assert after(words, "--hostname") == ["trader-a"]
    assert after(words, "--publish") == ["127.0.0.1:2203:22/tcp"]
    assert after(words, "--cap-drop") == ["ALL"]
    assert after(words, "--cap-add") == sorted([*plan.CAPABILITIES, plan.OOM])
    assert after(words, "--mount") == ["type=volume,source=stormdesk-demo-trader-a,destination=/var/lib/trading"]
    assert after(words, "--memory") == after(words, "--memory-swap") == ["1024m"]
    assert after(words, "--pids-limit") == ["512"]
    assert (after(words, "--network"), after(words, "--ip"), after(words, "--ip6")) == (
        ["stormdesk-demo-0-mgmt"], ["10.77.0.13"], ["fd77::13"],
    )  # fmt: skip
    assert after(words, "--label") == [
        "stormdesk.environment=demo",
        "stormdesk.owner=me@here",
        "stormdesk.expires=2099-01-01T00:00:00Z",
        "stormdesk.host=trader-a",
    ]
    assert "--privileged" not in words
    joined = [" ".join(line) for line in argv.connect(it)]
    assert [line.rpartition(" stormdesk-demo-")[0].split()[-1] for line in joined] == [
        "stormdesk-demo-1-market", "stormdesk-demo-2-core",
    ]  # fmt: skip
    assert all("--ip 10.77." in line and "--ip6 fd77:" in line for line in joined)


def test_unsupported_features_are_not_requested_and_are_reported() -> None:
    it = trader()
    words = list(argv.create(it))
    assert plan.OOM not in it.capabilities
    assert after(words, "--pids-limit") == []
    assert after(words, "--mount") == ["type=tmpfs,destination=/var/lib/trading,tmpfs-size=268435456,tmpfs-mode=0755"]
    facts = host_file(it, "/etc/stormdesk/lab.json")
    assert facts == {"volume": "tmpfs", "cgroup": "none", "memory_mib": None, "max_processes": None}
    assert len(plan.shortcomings(Abilities())) == 3
    assert len(plan.shortcomings(Abilities(cgroup="v1"))) == 3
    assert plan.shortcomings(ABLE) == []
    able = host_file(plan.container(CORE, CORE.host("store"), site(abilities=ABLE)), "/etc/stormdesk/lab.json")
    assert able == {"volume": "volume", "cgroup": "v2", "memory_mib": 1024, "max_processes": 512}


def host_file(it: Container, path: str) -> Any:
    document = json.loads(it.uploads[0].text)
    return json.loads(next(file["text"] for file in document["files"] if file["path"] == path))


def test_keys_go_into_one_file_that_only_root_reads() -> None:
    it = trader()
    assert [(upload.path, upload.mode) for upload in it.uploads] == [("/etc/stormdesk/host.json", 0o600)]
    assert "PRIVATE trader-a" in it.uploads[0].text
    assert "PRIVATE trader-b" not in it.uploads[0].text
    with tarfile.open(fileobj=io.BytesIO(argv.archive(it.uploads))) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode, member.uid) == ("etc/stormdesk/host.json", 0o600, 0)
    assert not any("PRIVATE" in word or "LOGIN" in word for word in argv.create(it))


def test_networks_are_closed_but_for_the_one_that_the_controller_uses() -> None:
    mgmt, market, core = plan.segments(CORE, site())
    assert (mgmt.internal, market.internal, core.internal) == (False, True, True)
    words = list(argv.network(market))
    assert after(words, "--subnet") == ["10.77.1.0/24", "fd77:0:0:1::/64"]
    assert "--internal" in words
    assert words[-1] == "stormdesk-demo-1-market"
    assert "--internal" not in argv.network(mgmt)


def test_the_inventory_has_the_shape_of_a_labs() -> None:
    host = plan.inventory_hosts(CORE, site())["trader-a"]
    assert (host.address, host.port, host.host_key) == ("127.0.0.1", 2203, "ssh-ed25519 trader-a")
    assert (host.proxy_command, host.shares_kernel, host.paths) == ("", True, {"data": "/var/lib/trading"})
    assert host.networks["market"].interface == "eth1"


def texts(value: Any) -> list[str]:
    """Every text in a value."""
    found: list[str] = []
    rewriting.rewritten(value, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    return found


def test_another_net_is_the_same_stack_elsewhere() -> None:
    other = rewriting.renumber(CORE, 78)
    assert not [text for text in texts(other) if "10.77." in text or "fd77:" in text]
    assert [text.replace("10.78.", "10.77.").replace("fd78:", "fd77:") for text in texts(other)] == texts(CORE)
    assert rewriting.renumber(other, 77) != CORE  # it counts from 77 on
    assert isinstance(other, Topology)
    for net in (9, 88, 100):
        with pytest.raises(UsageError, match="net"):
            rewriting.renumber(CORE, net)


def test_names_replace_addresses_in_service_configurations() -> None:
    named = rewriting.by_name(CORE)
    config = {f"{s.name} on {s.host}": s.config for s in named.services}
    assert config["trader on trader-a"]["venue_rest"] == "http://venue.market:8080"
    assert config["trader on trader-a"]["redis"] == "redis://store.core:6379/0"
    assert config["trader on trader-a"]["postgres"] == "postgresql://trading@store.core/trading"
    assert config["venue on venue"]["control"] == "venue.mgmt:8081"
    assert tuple(config["redis on store"]["listen"]) == ("store.core", "127.0.0.1")
    assert tuple(config["postgres on store"]["trust"]) == ("10.77.2.0/24",)
    assert config["prober on ops"]["targets"]["trader-b"] == "http://trader-b.core:8000/metrics"
    assert named.hosts == CORE.hosts
    other = dataclasses.replace(
        CORE.services[0], config={"a": "10.77.1.110", "b": "10.77.1.11/32", "c": "[10.77.1.11]"}
    )
    (service,) = rewriting.by_name(dataclasses.replace(CORE, services=[other])).services
    assert service.config == {"a": "10.77.1.110", "b": "10.77.1.11/32", "c": "[venue.market]"}


NODES = (swarm.Node(label="a", address="192.0.2.1"), swarm.Node(label="b", address="192.0.2.2"))


def test_a_service_is_the_same_container_without_addresses() -> None:
    abilities = Abilities(cgroup="v2", processes=True, oom=True, sized_volumes=True)
    it = swarm.service(CORE, CORE.host("trader-a"), site(abilities=abilities), NODES)
    words = list(swarm.service_argv(it))
    assert words[words.index("stormdesk-host:1") + 1 :] == list(it.container.command)
    assert (after(words, "--name"), after(words, "--hostname")) == (["stormdesk-demo-trader-a"], ["trader-a"])
    assert (after(words, "--replicas"), after(words, "--endpoint-mode")) == (["1"], ["dnsrr"])
    assert after(words, "--constraint") == [f"node.labels.stormdesk.node=={it.node.label}"]
    assert after(words, "--publish") == ["mode=host,target=22,published=2203,protocol=tcp"]
    assert after(words, "--network") == [
        "name=stormdesk-demo-0-mgmt,alias=trader-a.mgmt,alias=trader-a",
        "name=stormdesk-demo-1-market,alias=trader-a.market",
        "name=stormdesk-demo-2-core,alias=trader-a.core",
    ]
    assert (after(words, "--cap-drop"), after(words, "--cap-add")) == (["ALL"], list(it.container.capabilities))
    assert after(words, "--mount") == [
        "type=tmpfs,destination=/run,tmpfs-size=33554432,tmpfs-mode=0755",
        "type=tmpfs,destination=/tmp,tmpfs-size=67108864",
        "type=tmpfs,destination=/var/lib/trading,tmpfs-size=268435456,tmpfs-mode=0755",
    ]
    assert (after(words, "--limit-memory"), after(words, "--limit-pids")) == (["1024m"], ["512"])
    assert after(words, "--secret") == [f"source={it.secret.name},target=/etc/stormdesk/host.json,mode=0400"]
    assert after(words, "--label") == after(words, "--container-label") == [
        f"{key}={value}" for key, value in it.container.labels.items()
    ]  # fmt: skip
    document = json.loads(it.secret.upload.text)
    assert (document["routes"], document["hosts"]) == ({}, False)
    assert host_file(it.container, "/etc/trading/trader.json")["venue_rest"] == "http://venue.market:8080"
    assert host_file(it.container, "/etc/stormdesk/lab.json")["volume"] == "tmpfs"
    assert not any("PRIVATE" in word for word in (*words, *swarm.secret_argv(it)))


def test_a_secret_that_changes_gets_another_name() -> None:
    host = CORE.host("trader-a")
    one, two = swarm.service(CORE, host, site(), NODES), swarm.service(CORE, host, site(authorized_key="x"), NODES)
    assert one.secret.name != two.secret.name
    assert swarm.service(CORE, host, site(), NODES).secret.name == one.secret.name


def test_hosts_are_spread_and_no_role_is_on_one_machine_alone() -> None:
    at = swarm.placed(CORE, NODES)
    assert at["trader-a"] != at["trader-b"]
    assert sorted(node.label for node in at.values()).count("a") == 3
    hosts = swarm.inventory_hosts(CORE, site(), NODES)
    assert {name: host.address for name, host in hosts.items()} == {name: node.address for name, node in at.items()}
    assert (hosts["venue"].port, hosts["venue"].networks["mgmt"].address) == (2201, "venue.mgmt")


def test_overlay_networks_have_the_subnets_that_interfaces_are_known_by() -> None:
    words = list(swarm.network_argv(plan.segments(CORE, site())[1]))
    assert (after(words, "--driver"), after(words, "--subnet")) == (["overlay"], ["10.77.1.0/24"])
    assert {"--attachable", "--internal"} < set(words)
