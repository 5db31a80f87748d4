"""The trading stack as Topology values. Pure; docs/formats/stack.md and service-config.md are the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stormdesk.core.errors import UsageError
from stormdesk.infra.topology import Host, Kind, Network, Placement, Route, Service, Topology, Volume

DATA = "/var/lib/trading"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
BALANCES = {"USDT": "1000000", "BTC": "10", "ETH": "100"}
NETWORKS = (
    Network(name="mgmt", subnet="10.77.0.0/24", subnet6="fd77::/64", controlled=True),
    Network(name="market", subnet="10.77.1.0/24", subnet6="fd77:0:0:1::/64"),
    Network(name="core", subnet="10.77.2.0/24", subnet6="fd77:0:0:2::/64"),
)
# A net behind the store, so that hosts have a static route to restore after a link was down.
BEHIND_STORE = (Route(to="10.88.0.0/16", via="10.77.2.16"), Route(to="fd88::/64", via="fd77:0:0:2::16"))
VENUE_REST, VENUE_WS = "http://10.77.1.11:8080", "ws://10.77.1.11:8080"
KAFKA = "kafka://10.77.2.17:9092"
VENUE_NAME = "api.venue.internal"  # https on :8443, with a certificate of the environment's authority
REDIS, POSTGRES = "redis://10.77.2.16:6379/0", "postgresql://trading@10.77.2.16/trading"
MIN_SCALE, MAX_SCALE = 7, 200
TRADERS = {"trader-a": 13, "trader-b": 14}
FEED, LEADER_KEY = "10.77.2.12", "trader:leader"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The API keys of the trading account, the traders' and the guards', of the account for external
    bots ("": no such account), and the venue's certificate (PEM; "": no TLS). Generated per environment, never in the repository."""

    api_key: str
    api_secret: str
    guard_key: str = ""
    guard_secret: str = ""
    guest_key: str = ""
    guest_secret: str = ""
    certificate: str = ""
    certificate_key: str = ""


def core(credentials: Credentials, seed: int = 1) -> Topology:
    """Six hosts: venue, feed, trader-a and trader-b, ops, store. Prices and strategy depend only on `seed`."""
    return _stack("core", REDIS, credentials, seed)


def full(credentials: Credentials, seed: int = 1) -> Topology:
    """The core stack with Kafka as the bus, on an additional host `bus`."""
    stack = _stack("full", KAFKA, credentials, seed)
    bus = _host("bus", "bus", 17, ("mgmt", "core"))
    return replace(
        stack,
        hosts=(*stack.hosts, bus),
        volumes=(*stack.volumes, Volume(host=bus.name, path=DATA, size_mib=512)),
        services=(_kafka(), *stack.services),
    )


def _stack(name: str, bus: str, credentials: Credentials, seed: int) -> Topology:
    hosts = (
        _venue_host(),
        _host("feed", "feed", 12, ("mgmt", "market", "core")),
        *(_host(name, "trader", number, ("mgmt", "market", "core"), BEHIND_STORE) for name, number in TRADERS.items()),
        _host("ops", "ops", 15, ("mgmt", "core")),
        _host("store", "store", 16, ("mgmt", "core")),
    )
    return Topology(
        name=name,
        networks=NETWORKS,
        hosts=hosts,
        volumes=tuple(Volume(host=h.name, path=DATA, size_mib=512 if h.name == "store" else 256) for h in hosts),
        services=(
            _venue(credentials, seed),
            _feeder(bus),
            _guard("feed", "feeder", 9101, {"bus": bus}),
            *(
                service
                for name in TRADERS
                for service in (_trader(name, bus, credentials, seed), _trader_guard(name, bus, credentials))
            ),
            _orchestrator(),
            _prober(),
            *_store(),
        ),
    )


def scale(hosts: int, credentials: Credentials, seed: int = 1) -> Topology:
    """The core stack on six of `hosts` hosts; the others have SSH and a volume, and run nothing (7 to 200)."""
    if not MIN_SCALE <= hosts <= MAX_SCALE:
        raise UsageError(f"--topology scale:{hosts}: {MIN_SCALE} to {MAX_SCALE} hosts. For example: scale:32")
    stack = core(credentials, seed)
    first = 17  # the number after the store's
    more = [_host(f"node-{i + 1}", "node", first + i, ("mgmt", "core")) for i in range(hosts - len(stack.hosts))]
    return replace(
        stack,
        name=f"scale:{hosts}",
        hosts=(*stack.hosts, *more),
        volumes=(*stack.volumes, *(Volume(host=h.name, path=DATA, size_mib=64) for h in more)),
    )


STACKS: Mapping[str, Callable[[Credentials], Topology]] = {"core": core, "full": full}


def named(name: str, credentials: Credentials) -> Topology:
    """The stack of that name, or `scale:<hosts>`; UsageError lists the existing ones."""
    kind, _, number = name.partition(":")
    if kind == "scale" and number.isdigit() and len(number) < 4:
        return scale(int(number), credentials)
    if name not in STACKS:
        raise UsageError(f"no topology '{name}'. There is: {', '.join(sorted(STACKS))}, scale:<hosts>.")
    return STACKS[name](credentials)


def with_resilience(stack: Topology, overrides: Mapping[str, Mapping[str, Any]]) -> Topology:
    """The stack with overrides of testnet/resilience.yaml, by section, in all our services."""
    if not overrides:
        return stack
    services = [
        replace(s, config={**s.config, "resilience": overrides}) if s.kind is Kind.TESTNET else s
        for s in stack.services
    ]
    return replace(stack, services=services)


def _host(name: str, role: str, number: int, networks: Sequence[str], routes: Sequence[Route] = ()) -> Host:
    places = tuple(_place(network, number, f"eth{i}") for i, network in enumerate(networks))
    return Host(name=name, role=role, placements=places, routes=routes)


def _venue_host() -> Host:
    """The venue has its own name on the market network, like a real exchange."""
    host = _host("venue", "venue", 11, ("mgmt", "market"))
    places = [replace(p, aliases=(VENUE_NAME,)) if p.network == "market" else p for p in host.placements]
    return replace(host, placements=tuple(places))


def _place(network: str, number: int, interface: str) -> Placement:
    """Host `number` of a network: 10.77.1.13/24 and fd77:0:0:1::13/64 (the same digits, read as hex in IPv6)."""
    net = next(n for n in NETWORKS if n.name == network)
    return Placement(
        network=network,
        interface=interface,
        address=net.subnet.replace(".0/", f".{number}/"),
        address6=net.subnet6.replace("::/", f"::{number}/"),
    )


def _ours(name: str, host: str, ports: Mapping[str, int], config: Mapping[str, Any], ready: str = "") -> Service:
    pidfile = f"/run/trading/{name}.pid"
    listen = f"0.0.0.0:{ports['http']}"
    common = {"listen": listen, "data_dir": f"{DATA}/{name}", "pidfile": pidfile}
    return Service(
        name=name,
        host=host,
        kind=Kind.TESTNET,
        user="trading",
        ports=ports,
        pidfile=pidfile,
        ready=ready,
        config={**common, **config},
    )


def _venue(credentials: Credentials, seed: int) -> Service:
    account = {
        "name": "desk",
        "api_key": credentials.api_key,
        "api_secret": credentials.api_secret,
        "balances": BALANCES,
        "more_keys": {credentials.guard_key: credentials.guard_secret},
    }
    accounts = [account]
    if credentials.guest_key:
        keys = {"api_key": credentials.guest_key, "api_secret": credentials.guest_secret}
        accounts.append({"name": "guest", **keys, "balances": BALANCES})
    config = {"control": "10.77.0.11:8081", "seed": seed, "symbols": SYMBOLS, "accounts": accounts}
    ports = {"http": 8080, "control": 8081}
    if credentials.certificate:
        tls = {"listen": "0.0.0.0:8443", "certificate": credentials.certificate, "key": credentials.certificate_key}
        config, ports = {**config, "tls": tls}, {**ports, "https": 8443}
    return _ours("venue", "venue", ports, config)


def _feeder(bus: str) -> Service:
    config = {"venue_ws": VENUE_WS, "venue_rest": VENUE_REST, "symbols": SYMBOLS, "bus": bus, "stream": "md"}
    return replace(_ours("feeder", "feed", {"http": 9101}, config), restarted_by="guard")


def _trader(host: str, bus: str, credentials: Credentials, seed: int) -> Service:
    config = {
        "instance": host,
        "venue_rest": VENUE_REST,
        "venue_ws": VENUE_WS,
        "api_key": credentials.api_key,
        "api_secret": credentials.api_secret,
        "redis": REDIS,
        "bus": bus,
        "stream": "md",
        "postgres": POSTGRES,
        "symbols": SYMBOLS,
        "seed": seed,
        "orders_per_s": 3.0,
        "leader_key": LEADER_KEY,
        "stand_back_s": 0.0 if host == "trader-a" else 3.0,  # trader-a leads a fresh stack
    }
    return replace(_ours("trader", host, {"http": 8000}, config, ready="/ready"), restarted_by="guard")


def _trader_guard(host: str, bus: str, credentials: Credentials) -> Service:
    """A trader's guard can cancel the account's orders with its own key."""
    more = {
        "bus": bus,
        "postgres": POSTGRES,
        "leader_key": LEADER_KEY,
        "api_key": credentials.guard_key,
        "api_secret": credentials.guard_secret,
    }
    return _guard(host, "trader", 8000, more)


def _guard(host: str, service: str, port: int, more: Mapping[str, Any]) -> Service:
    config = {
        "instance": host,
        "service": service,
        "component": service.capitalize(),
        "url": f"http://127.0.0.1:{port}",
        "heartbeat": f"{DATA}/{service}/{service}.heartbeat.json",
        "supervisor": "/run/supervisor.sock",
        "venue_rest": VENUE_REST,
        "redis": REDIS,
        "symbols": SYMBOLS,
        **more,
    }
    return _ours("guard", host, {"http": 9110}, config)


def _orchestrator() -> Service:
    traders = {name: f"10.77.2.{number}" for name, number in TRADERS.items()}
    config = {
        "traders": {name: f"http://{address}:8000" for name, address in traders.items()},
        "guards": {name: f"http://{address}:9110" for name, address in {**traders, "feed": FEED}.items()},
    }
    return _ours("orchestrator", "ops", {"http": 8010}, config)


def _prober() -> Service:
    targets = {name: f"http://10.77.2.{number}:8000/metrics" for name, number in TRADERS.items()}
    targets |= {f"guard-{name}": f"http://10.77.2.{number}:9110/metrics" for name, number in TRADERS.items()}
    targets |= {"feed": f"http://{FEED}:9101/metrics", "guard-feed": f"http://{FEED}:9110/metrics"}
    targets |= {"venue": "http://10.77.0.11:8081/metrics", "orchestrator": "http://10.77.2.15:8010/metrics"}
    return _ours("prober", "ops", {"http": 9200}, {"targets": targets, "interval_s": 1.0})


def _store() -> Sequence[Service]:
    listen = ["10.77.2.16", "127.0.0.1"]
    redis = Service(
        name="redis",
        host="store",
        kind=Kind.REDIS,
        user="redis",
        ports={"redis": 6379},
        pidfile="/run/redis/redis.pid",
        config={"listen": listen, "data_dir": f"{DATA}/redis"},
    )
    postgres = Service(
        name="postgres",
        host="store",
        kind=Kind.POSTGRES,
        user="postgres",
        ports={"postgres": 5432},
        pidfile=f"{DATA}/postgres/postmaster.pid",
        config={"listen": listen, "data_dir": f"{DATA}/postgres", "database": "trading", "trust": ["10.77.2.0/24"]},
    )
    return redis, postgres


def _kafka() -> Service:
    return Service(
        name="kafka",
        host="bus",
        kind=Kind.KAFKA,
        user="trading",
        ports={"kafka": 9092, "controller": 9093},
        pidfile="/run/kafka/kafka.pid",
        config={"listen": "10.77.2.17", "data_dir": f"{DATA}/kafka"},
    )
