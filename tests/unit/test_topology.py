"""Every Topology object is valid: each mistake is named, and the core stack is that of docs/formats/stack.md."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.infra import stacks
from stormdesk.infra.backends.lab import files, network, spec
from stormdesk.infra.topology import Host, Kind, Placement, Route, Topology, Volume

KEY = stacks.Credentials(api_key="key", api_secret="secret")
CORE = stacks.core(KEY)
A, B = CORE.host("trader-a"), CORE.host("trader-b")


def changed(part: Any, **values: Any) -> Any:
    return dataclasses.replace(part, **values)


def with_a(**values: Any) -> dict[str, Any]:
    """The core stack's hosts with trader-a changed."""
    return {"hosts": [changed(h, **values) if h.name == "trader-a" else h for h in CORE.hosts]}


def placed(**values: Any) -> dict[str, Any]:
    first, *rest = A.placements
    return with_a(placements=[changed(first, **values), *rest])


def service(**values: Any) -> dict[str, Any]:
    return {"services": [*CORE.services, changed(CORE.services_on("trader-a")[0], name="extra", ports={}, **values)]}


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("no hosts", {"hosts": [], "volumes": [], "services": []}, "no host"),
    ("host twice", {"hosts": [*CORE.hosts, A]}, "host trader-a is there twice"),
    ("host name", with_a(name="Trader_A"), "host 'Trader_A'"),
    ("network twice", {"networks": [*CORE.networks, CORE.networks[0]]}, "network mgmt is there twice"),
    (
        "networks overlap",
        {"networks": [changed(CORE.networks[0], subnet="10.77.0.0/16"), *CORE.networks[1:]]},
        "overlap",
    ),
    (
        "not a network",
        {"networks": [changed(CORE.networks[0], subnet="10.77.0.1/24"), *CORE.networks[1:]]},
        "host bits set",
    ),
    ("IPv6 as IPv4", {"networks": [changed(CORE.networks[0], subnet="fd00::/64"), *CORE.networks[1:]]}, "not IPv4"),
    ("long network name", {"networks": [*CORE.networks, changed(CORE.networks[0], name="n" * 16)]}, "15"),
    ("address twice", placed(address=B.placements[0].address), "address 10.77.0.14 is there twice"),
    ("IPv6 address twice", placed(address6=B.placements[0].address6), "address fd77::14 is there twice"),
    ("the controller's address", placed(address="10.77.0.1/24"), "address 10.77.0.1 is there twice"),
    ("foreign address", placed(address="10.78.0.13/24"), "10.78.0.13/24 is not in 10.77.0.0/24"),
    ("other prefix", placed(address="10.77.0.13/16"), "is not in 10.77.0.0/24"),
    ("no address", placed(address="somewhere"), "address somewhere"),
    ("unknown network", placed(network="lan"), "no network 'lan'"),
    ("interface twice", placed(interface="eth1"), "interface eth1 is there twice"),
    ("loopback", placed(interface="lo"), "interface 'lo'"),
    ("unreachable", with_a(placements=A.placements[1:]), "no network that the controller reaches"),
    ("far gateway", with_a(routes=[Route(to="10.99.0.0/16", via="10.98.0.1")]), "gateway 10.98.0.1"),
    ("mixed route", with_a(routes=[Route(to="fd99::/64", via="10.77.2.16")]), "IPv4 and IPv6 mixed"),
    ("volume nowhere", {"volumes": [Volume(host="gone", path="/data", size_mib=64)]}, "no host 'gone'"),
    ("volume twice", {"volumes": [*CORE.volumes, CORE.volumes[0]]}, "volume on host venue is there twice"),
    ("volume path", {"volumes": [Volume(host="ops", path="data", size_mib=64)]}, "not absolute"),
    ("volume size", {"volumes": [Volume(host="ops", path="/data", size_mib=1)]}, "at least 32"),
    ("service nowhere", service(host="gone"), "no host 'gone'"),
    ("service twice", {"services": [*CORE.services, CORE.services[0]]}, "service venue on venue is there twice"),
    ("port range", {"services": [changed(CORE.services[0], ports={"http": 70000})]}, "port 70000"),
    ("port twice", {"services": [changed(CORE.services[0], ports={"http": 80, "control": 80})]}, "port 80 on venue"),
    ("nobody restarts it", service(restarted_by="warden"), "no service 'warden' there restarts it"),
    ("nothing to ask", service(ready="/ready"), "no port 'http'"),
]


@pytest.mark.parametrize(("change", "why"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_named(change: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=r"^topology: ") as error:
        changed(CORE, **change)
    assert why in str(error.value)


def test_core_is_as_documented() -> None:
    places = {h.name: [(p.interface, p.network, p.address, p.address6) for p in h.placements] for h in CORE.hosts}
    assert places["trader-a"] == [
        ("eth0", "mgmt", "10.77.0.13/24", "fd77::13/64"),
        ("eth1", "market", "10.77.1.13/24", "fd77:0:0:1::13/64"),
        ("eth2", "core", "10.77.2.13/24", "fd77:0:0:2::13/64"),
    ]
    networks = {h.name: [p.network for p in h.placements] for h in CORE.hosts}
    assert networks["venue"] == ["mgmt", "market"]
    assert networks["ops"] == networks["store"] == ["mgmt", "core"]
    services = [(s.host, s.name, s.user, dict(s.ports)) for s in CORE.services]
    assert services == [
        ("venue", "venue", "trading", {"http": 8080, "control": 8081}),
        ("feed", "feeder", "trading", {"http": 9101}),
        ("feed", "guard", "trading", {"http": 9110}),
        ("trader-a", "trader", "trading", {"http": 8000}),
        ("trader-a", "guard", "trading", {"http": 9110}),
        ("trader-b", "trader", "trading", {"http": 8000}),
        ("trader-b", "guard", "trading", {"http": 9110}),
        ("ops", "orchestrator", "trading", {"http": 8010}),
        ("ops", "prober", "trading", {"http": 9200}),
        ("store", "redis", "redis", {"redis": 6379}),
        ("store", "postgres", "postgres", {"postgres": 5432}),
    ]


def test_venue_and_traders_share_the_account_of_the_environment() -> None:
    configs = {(s.name, s.host): s.config for s in CORE.services}
    account = configs["venue", "venue"]["accounts"][0]
    for host in "trader-a", "trader-b":
        assert (account["api_key"], account["api_secret"]) == ("key", "secret")
        assert configs["trader", host]["api_secret"] == "secret"
        assert configs["trader", host]["instance"] == host


def test_an_unknown_stack_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no topology 'cores'\. There is: core, full, scale"):
        stacks.named("cores", KEY)


def test_scale_adds_hosts_that_only_have_ssh() -> None:
    stack = stacks.named("scale:32", KEY)
    assert (stack.name, len(stack.hosts), len(stack.services)) == ("scale:32", 32, len(CORE.services))
    node = stack.hosts[-1]
    assert (node.name, node.role, node.address_on("mgmt")) == ("node-26", "node", "10.77.0.42")
    assert "supervisord" not in next(
        f.text for f in files.content(stack, node, site(stack)).files if "inittab" in f.path
    )
    assert len(stacks.named("scale:200", KEY).hosts) == 200
    for wrong in ("scale:6", "scale:201"):
        with pytest.raises(UsageError, match=r"7 to 200 hosts\. For example: scale:32"):
            stacks.named(wrong, KEY)
    with pytest.raises(UsageError, match="no topology 'scale:x'"):
        stacks.named("scale:x", KEY)


def site(stack: Topology = CORE) -> files.Site:
    names = [h.name for h in stack.hosts]
    return files.Site(
        environment="demo",
        expires_at="2030-01-01T00:00:00Z",
        python="/venv/bin/python",
        authorized_key="ssh-ed25519 AAAA",
        host_keys=dict.fromkeys(names, "PRIVATE"),
        facts={name: {} for name in names},
    )


def everything(host: Host, stack: Topology = CORE) -> list[spec.FileSpec]:
    made = files.content(stack, host, site(stack))
    return [*made.files, *(file for service in made.services for file in service.files)]


def test_secrets_on_a_host_are_for_their_owner_alone() -> None:
    made = {f.path: f for f in everything(A)}
    assert made["/etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    config = made["/etc/trading/trader.json"]
    assert (config.mode, config.owner) == (0o600, "trading")
    assert json.loads(config.text)["listen"] == "0.0.0.0:8000"
    holders = {path for path, file in made.items() if "secret" in file.text}
    assert holders == {"/etc/trading/trader.json", "/etc/trading/guard.json"}


def test_every_service_has_a_program_and_sshd_is_none() -> None:
    for host in CORE.hosts:
        made = {f.path: f.text for f in everything(host)}
        assert "files=/etc/supervisor/conf.d/*.conf" in made["/etc/supervisor/supervisord.conf"].splitlines()
        programs = [text.splitlines()[0] for path, text in made.items() if path.startswith("/etc/supervisor/conf.d/")]
        assert programs == [f"[program:{s.name}]" for s in CORE.services_on(host.name)]
        assert "::respawn:/usr/sbin/sshd -D -e" in made["/etc/inittab"].splitlines()
        assert "::once:/etc/stormdesk/boot" in made["/etc/inittab"].splitlines()


def test_the_commands_of_services() -> None:
    services = stacks.full(KEY).services
    argv = {s.name: files.command(s, "/venv/bin/python") for s in services}
    assert argv["trader"][-4:] == ("-m", "stormdesk.testnet.trader", "--config", "/etc/trading/trader.json")
    assert argv["redis"] == ("/bin/sh", "/etc/trading/redis.sh", "/var/lib/trading/redis")
    assert argv["kafka"] == ("/bin/sh", "/etc/trading/kafka.sh", "/var/lib/trading/kafka", "/run/kafka/kafka.pid")
    assert {s.kind for s in services} == set(Kind)


def test_full_is_core_with_kafka_for_a_bus() -> None:
    full = stacks.full(KEY)
    assert {h.name for h in full.hosts} - {h.name for h in CORE.hosts} == {"bus"}
    assert full.host("bus").address_on("core") == "10.77.2.17"
    for stack, bus in (CORE, "redis://10.77.2.16:6379/0"), (full, "kafka://10.77.2.17:9092"):
        assert {s.config["bus"] for s in stack.services if "bus" in s.config} == {bus}
        assert stack.has(Kind.KAFKA) is (stack is full)
    (broker,) = (h for h in full.hosts if h.name == "bus")
    made = {f.path: f.text for f in everything(broker, full)}
    assert "listeners=PLAINTEXT://10.77.2.17:9092,CONTROLLER://127.0.0.1:9093" in made["/etc/trading/kafka.properties"]
    assert "log.dirs=/var/lib/trading/kafka/log" in made["/etc/trading/kafka.properties"]


def test_ports_of_two_starts_of_a_host_have_different_names_and_the_same_addresses() -> None:
    content = spec.Content(files=[], directories=[])
    host = spec.host(CORE, CORE.hosts[2], content, {})
    first, second = network.ports(host, 2, 1, 100), network.ports(host, 2, 2, 200)
    assert first[0] == "link add name p2.0.1 type veth peer name eth0 address 02:00:0a:4d:00:0d netns 100"
    assert {line.split()[3] for line in first[::2]}.isdisjoint(line.split()[3] for line in second[::2])
    longest = max(len(line.split()[3]) for line in network.ports(host, 999, 99999, 1)[::2])
    assert longest <= 15  # IFNAMSIZ
    assert "addr add fd77::13/64 dev eth0 nodad" in network.inside(host)
    assert "route add 10.88.0.0/16 via 10.77.2.16" in network.inside(host)


def test_only_controlled_networks_carry_the_controller() -> None:
    assert {b.name: tuple(b.addresses) for b in spec.bridges(CORE)} == {
        "mgmt": ("10.77.0.1/24", "fd77::1/64"),
        "market": (),
        "core": (),
    }


def test_a_host_without_image_has_its_volume_on_tmpfs() -> None:
    content = spec.Content(files=[], directories=[])
    with_image = spec.host(CORE, CORE.hosts[0], content, {"venue": "/images/venue.ext4"}).volume
    without = spec.host(CORE, CORE.hosts[0], content, {}).volume
    assert with_image is not None
    assert without is not None
    assert (with_image.image, without.image) == ("/images/venue.ext4", "")
    assert without.size_mib == 256


def test_a_topology_of_one_plain_host() -> None:
    place = Placement(network="mgmt", interface="eth0", address="10.77.0.20/24", address6="fd77::20/64")
    one = Topology(name="one", networks=CORE.networks[:1], hosts=[Host(name="h", role="plain", placements=[place])])
    assert one.services_on("h") == []
    assert one.volume_on("h") is None
    assert one.host("h").address_on("mgmt") == "10.77.0.20"
    with pytest.raises(UsageError, match="not on network core"):
        one.host("h").address_on("core")
