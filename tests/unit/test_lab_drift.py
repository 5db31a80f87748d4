"""The drift of a lab from its declaration, from the output of a host."""

from __future__ import annotations

import json

import pytest

from stormdesk.infra.backends.lab import drift
from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec, LinkSpec, RouteSpec, VolumeSpec

LINK = LinkSpec(interface="eth1", bridge="market", mac="02:00:00:00:00:01", address="10.7.1.3/24", address6="fd7::3/64")
HOST = HostSpec(
    name="a",
    memory_mib=64,
    max_processes=64,
    links=[LINK],
    routes=[RouteSpec(to="10.8.0.0/16", via="10.7.1.1")],
    volume=VolumeSpec(path="/data", size_mib=64),
    files=[],
    directories=[],
)
ADDRESSES = [
    {"local": "10.7.1.3", "prefixlen": 24, "scope": "global"},
    {"local": "fd7::3", "prefixlen": 64, "scope": "global"},
    {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
]
FINE = {
    "addr": [{"ifname": "eth1", "flags": ["BROADCAST", "UP"], "addr_info": ADDRESSES}],
    "route4": [{"dst": "10.8.0.0/16", "gateway": "10.7.1.1"}, {"dst": "10.7.1.0/24", "dev": "eth1"}],
    "route6": [],
    "qdisc": [{"dev": "eth1", "kind": "noqueue"}],
    "rule": ["*filter", ":INPUT ACCEPT [0:0]", "COMMIT"],
    "table": ["table ip filter"],
    "mount": ["/", "/data"],
    "service": ["trader   RUNNING   pid 7, uptime 0:00:09"],
}


def seen(**other: object) -> drift.Seen:
    sections = {**FINE, **other}
    json_sections = ("addr", "route4", "route6", "qdisc")
    return drift.parse(
        "".join(
            f"@{name}\n" + (json.dumps(value) if name in json_sections else "\n".join(value)) + "\n"  # type: ignore[arg-type]
            for name, value in sections.items()
        )
    )


def test_a_host_as_declared_has_no_drift_and_needs_no_command_but_repeatable_ones() -> None:
    assert drift.of_host(HOST, seen()) == []
    assert drift.of_service("trader", seen()) == []
    assert {command[:3] for command in drift.mend_host(HOST, seen())} == {
        ("ip", "link", "set"),
        ("ip", "addr", "replace"),
        ("ip", "route", "replace"),
    }


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"addr": [{"ifname": "eth1", "flags": [], "addr_info": ADDRESSES}]}, "eth1 is down"),
        ({"addr": []}, "eth1 is not there"),
        ({"addr": [{"ifname": "eth1", "flags": ["UP"], "addr_info": ADDRESSES[:1]}]}, "eth1 has no fd7::3/64"),
        ({"route4": []}, "no route to 10.8.0.0/16 via 10.7.1.1"),
        ({"qdisc": [{"dev": "eth1", "kind": "tbf"}]}, "qdisc tbf on eth1"),
        ({"rule": ["-A INPUT -s 10.6.6.6/32 -j DROP"]}, "iptables -A INPUT -s 10.6.6.6/32 -j DROP"),
        ({"rule6": [":INPUT DROP [0:0]"]}, "ip6tables :INPUT DROP [0:0]"),
        ({"table": ["table inet theirs"]}, "table inet theirs"),
        ({"mount": ["/"]}, "/data is not mounted"),
    ],
)
def test_each_difference_is_named(other: dict[str, object], said: str) -> None:
    assert said in drift.of_host(HOST, seen(**other))


def test_a_service_that_does_not_run_is_named_with_its_state() -> None:
    assert drift.of_service("trader", seen(service=["trader  STOPPED  Nov 21"])) == ["not running: STOPPED"]
    assert drift.of_service("other", seen()) == ["not running: unknown to the supervisor"]


def test_a_network_without_its_address_or_its_bridge_is_named() -> None:
    bridge = BridgeSpec(name="eth1", addresses=["10.7.1.1/24"])
    assert drift.of_network(bridge, seen()) == ["no 10.7.1.1/24"]
    assert drift.of_network(BridgeSpec(name="core", addresses=[]), seen()) == ["not there"]


def test_what_mends_takes_out_what_was_not_declared() -> None:
    commands = drift.mend_host(HOST, seen(qdisc=[{"dev": "eth1", "kind": "tbf"}], table=["table inet theirs"]))
    assert ("tc", "qdisc", "del", "dev", "eth1", "root") in commands
    assert ("nft", "delete", "table", "inet", "theirs") in commands
    rules = drift.mend_host(HOST, seen(rule=["-A INPUT -j DROP"]))
    assert ("iptables", "-t", "filter", "-F") in rules
