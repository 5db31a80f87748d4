"""Does a fault cut our own connection? Asked on the host, of the connection that we came in by; a real kernel, dash and busybox ash."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.plan import Plan
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.host import library, probe, render
from tests.shell.rig import HOST, Rig, rig
from tests.shell.sandbox import SHELLS
from tests.skips import cannot

BEHIND_A_NAME = msgspec.structs.replace(HOST, address="bastion.example")
PAIR = "link add eth2 type veth peer name peer2; link set eth2 up; link set peer2 up"
# What has the address that we came in at, set up by these `ip` commands; which interfaces carry the connection, and which do not.
SETTINGS = {
    "plain": ("eth1", "", "eth1", "eth2"),
    "bridge_port": (
        "br0",
        "link add br0 type bridge; link set eth1 master br0; link set eth2 master br0",
        "br0 eth1 eth2 peer2",
        "",
    ),
    "bridge_on_a_bridges_veth": (
        "br0",
        (
            "link add br0 type bridge; link set eth2 master br0; link add br1 type bridge; link set peer2 master br1; "
            "link set eth1 master br1"
        ),
        "br0 eth2 peer2",
        "",
    ),
    "macvlan": ("mv0", "link add mv0 link eth1 type macvlan mode bridge", "mv0 eth1", "eth2"),
    "macvtap_on_a_bridge": (
        "mt0",
        "link add br0 type bridge; link set eth1 master br0; link set br0 up; link add mt0 link br0 type macvtap",
        "mt0 br0 eth1",
        "eth2",
    ),
    "ipvlan": ("iv0", "link add iv0 link eth1 type ipvlan", "iv0 eth1", "eth2"),
    "vlan": ("eth1.5", "link add link eth1 name eth1.5 type vlan id 5", "eth1.5 eth1", "eth2"),
    "vlan_on_a_bond": (
        "bond0.5",
        (
            "link add bond0 type bond; link set eth1 down; link set eth1 master bond0; link set bond0 up; "
            "link add link bond0 name bond0.5 type vlan id 5"
        ),
        "bond0.5 bond0 eth1",
        "eth2",
    ),
    "bond_slave": (
        "bond0",
        "link add bond0 type bond; link set eth1 down; link set eth1 master bond0",
        "bond0 eth1",
        "eth2",
    ),
    "team_port": (
        "team0",
        "link add team0 type team; link set eth1 down; link set eth1 master team0",
        "team0 eth1",
        "eth2",
    ),
    "vrf_port": (
        "eth1",
        "link add vrf0 type vrf table 100; link set vrf0 up; link set eth1 master vrf0; link set eth2 master vrf0",
        "eth1 vrf0",
        "eth2",
    ),
    "vxlan": (
        "vx0",
        "addr add 10.9.2.2/24 dev eth2; link add vx0 type vxlan id 3 remote 10.9.2.9 dstport 4789",
        "vx0 eth2",
        "eth1",
    ),
    "vpn": (
        "tun0",
        "addr add 10.9.2.2/24 dev eth2; route add default via 10.9.2.9; tuntap add tun0 mode tun",
        "tun0 eth2",
        "eth1",
    ),
    "loopback_address": ("lo", "addr add 10.9.2.2/24 dev eth2; route add 192.0.2.0/24 via 10.9.2.9", "eth2", "eth1"),
    "answers_by_a_rule": (
        "eth1",
        "addr add 10.9.2.2/24 dev eth2; route add default via 10.9.2.9 table 7; rule add from 192.0.2.1 table 7",
        "eth1 eth2",
        "",
    ),
}


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        one.host = BEHIND_A_NAME
        yield one


def facts(host: Rig, fault: AdapterDown | NetBandwidth, came_in: str) -> probe.HostFacts:
    """As `host.facts`, over a connection from and to these addresses."""
    probes = fault.probes(host.site())
    script = render.facts(host.scripts, probes, (*fault.needs, *fault.may_use))
    done = host.sandbox.script(f"export SSH_CONNECTION='{came_in}'\n{script}")
    assert done.ok, done.stderr
    return probe.facts("sandbox", done.stdout, probes)


def cuts(host: Rig, interface: str, came_in: str) -> bool:
    """What adapter-down says of it; net-bandwidth must think the same."""
    fault, limit = AdapterDown(interface=interface), NetBandwidth(interface=interface)
    plan = fault.plan(facts(host, fault, came_in), host.site(), None)
    assert isinstance(plan, Plan), plan
    assert ("it carries SSH" in plan.change.says) == plan.control.cuts
    if plan.control.cuts:
        with pytest.raises(RefusedError, match="carries our own connection"):
            limit.plan(facts(host, limit, came_in), host.site(), None)
    else:
        assert isinstance(limit.plan(facts(host, limit, came_in), host.site(), None), Plan)
    return plan.control.cuts


def set_up(host: Rig, commands: str) -> None:
    """`ip` commands, one after the other, after those of a second pair."""
    host.sandbox.sh("mkdir -p /dev/net && mknod /dev/net/tun c 10 200")
    for command in f"{PAIR}; {commands}".split("; "):
        done = host.sandbox.script(f"ip {command}" if command else "")
        if "Unknown device type" in done.stderr:
            cannot(f"its kernel has none of these: {command}")
        assert done.ok, f"{command}: {done.stderr}"


@pytest.mark.parametrize("case", SETTINGS)
def test_case_C13_all_that_carries_our_connection_is_known(host: Rig, case: str) -> None:
    carrier, setting, carry, do_not = SETTINGS[case]
    address = "192.0.2.1/32" if carrier == "lo" else "192.0.2.1/24"
    set_up(host, f"{setting}; link set {carrier} up; addr add {address} dev {carrier}")
    came_in = "192.0.2.9 50000 192.0.2.1 22"
    said = {name: cuts(host, name, came_in) for name in (*carry.split(), *do_not.split())}
    assert said == dict.fromkeys(carry.split(), True) | dict.fromkeys(do_not.split(), False)


def test_case_C13_by_ipv6_and_by_a_link_local_address(host: Rig) -> None:
    set_up(
        host,
        "addr add fd77::1/64 dev eth1 nodad; addr add fe80::77/64 dev eth2 nodad; addr add fe80::77/64 dev eth1 nodad",
    )
    assert [cuts(host, name, "fd77::9 50000 fd77::1 22") for name in ("eth1", "eth2")] == [True, False]
    assert cuts(host, "eth2", "fe80::9%eth2 50000 fe80::77%eth2 22")


def test_case_C13_an_address_in_the_inventory_counts_only_where_the_host_cannot_tell(host: Rig) -> None:
    """The inventory's is eth1's, but we came in by eth2; or nothing says how."""
    set_up(host, "addr add 192.0.2.1/24 dev eth2; link set eth2 up")
    host.host = msgspec.structs.replace(HOST, address="10.9.1.2")
    assert [cuts(host, name, "192.0.2.9 50000 192.0.2.1 22") for name in ("eth1", "eth2")] == [False, True]
    assert [cuts(host, name, "") for name in ("eth1", "eth2")] == [True, False]


def test_case_C13_found_through_what_drops_the_environment(host: Rig) -> None:
    """As sudo and doas do: what they were started with is read of them."""
    verbs = library.for_commands(host.scripts, [("sd_came_in",)])
    inner = f"{verbs}\nsd_came_in\n"
    done = host.sandbox.script(
        f"SSH_CONNECTION='192.0.2.9 1 192.0.2.1 22' sh -c 'env -i PATH=$PATH sh -c \"sh -s; :\"; :' <<'INNER'\n{inner}INNER\n"
    )
    assert (done.stdout, done.stderr) == ("192.0.2.9 1 192.0.2.1 22\n", "")


def test_an_interface_by_another_name_is_refused(host: Rig) -> None:
    set_up(host, "link property add dev eth1 altname market0")
    for fault in (AdapterDown(interface="market0"), NetBandwidth(interface="market0")):
        with pytest.raises(RefusedError, match="another name of eth1"):
            fault.plan(host.facts(fault), host.site(), None)
