"""Faults on packets, on a real kernel: another host sees them, what they do not name passes, and nothing is left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from stormdesk.core.packets import Direction, PacketSize, Ports, Protocol
from stormdesk.faults.net.mtu_blackhole import MtuBlackhole
from stormdesk.faults.net.net_partition import NetPartition
from stormdesk.faults.net.net_reset import NetReset
from stormdesk.faults.net.port_block import How, PortBlock
from tests.shell.neighbour import Neighbour
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS
from tests.shell.test_bite import bite, heal

MECHANISMS = ("nft", "iptables")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


@pytest.fixture
def beside(host: Rig) -> Neighbour:
    # iptables leaves its tables behind, empty: they are no trace of ours.
    tables = "for table in mangle filter; do $tool -t $table -N x; $tool -t $table -X x; done"
    host.sandbox.sh(f"for tool in iptables ip6tables; do {tables}; done")
    return Neighbour(host.sandbox, 8001, 8002)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_partition_of_a_network_is_in_and_goes_without_a_trace(host: Rig, beside: Neighbour, mechanism: str) -> None:
    before = bite(host, NetPartition(network="market", mechanism=mechanism))
    assert not beside.pings()
    assert not beside.pings("fd99::2")
    assert not beside.answers(8001)
    heal(host, before)
    assert beside.pings()
    assert beside.pings("fd99::2")
    assert beside.answers(8001)


# A partition, does the neighbour still get a ping and a ping of IPv6, which of its ports still answer?
SELECTIONS = [
    (NetPartition(peer="10.9.1.1"), False, True, []),
    (NetPartition(peer="fd99::/64"), True, False, [8001, 8002]),
    (NetPartition(peer="10.9.1.77,10.200.0.0/16"), True, True, [8001, 8002]),
    (NetPartition(network="market", port=Ports("8001")), True, True, [8002]),
    (NetPartition(port=Ports("8000-8001"), protocol=Protocol("tcp")), True, True, [8002]),
    (NetPartition(port=Ports("8002"), protocol=Protocol("udp")), True, True, [8001, 8002]),
    (NetPartition(network="market", protocol=Protocol("icmp")), False, False, [8001, 8002]),
    (NetPartition(peer="10.9.1.1", direction=Direction("in")), False, True, []),
    (NetPartition(peer="10.9.1.1", direction=Direction("out")), False, True, []),
]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_just_what_is_selected_is_dropped(host: Rig, beside: Neighbour, mechanism: str) -> None:
    for fault, pings, pings6, ports in SELECTIONS:
        before = bite(host, dataclasses.replace(fault, mechanism=mechanism))
        found = beside.pings(), beside.pings("fd99::2"), [port for port in (8001, 8002) if beside.answers(port)]
        assert found == (pings, pings6, ports), fault
        heal(host, before)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_blocked_port_drops_rejects_or_resets(host: Rig, beside: Neighbour, mechanism: str) -> None:
    codes = {"drop": 28, "reject": 7, "reset": 7}  # of curl: no answer in time, connection refused
    for how, code in codes.items():
        before = bite(host, PortBlock(port=Ports("8001"), how=How(how), mechanism=mechanism))
        done = host.sandbox.script("curl -s -m 2 -o /dev/null http://10.9.1.1:8001/")
        assert (done.code, beside.answers(8002)) == (code, True), how
        heal(host, before)
        assert beside.answers(8001)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_live_connection_is_reset(host: Rig, beside: Neighbour, mechanism: str) -> None:
    """A client that holds a connection over the inject gets a reset with its next packet."""
    client = """import socket, time
s = socket.create_connection(("10.9.1.1", 8001), 3)
print("connected", flush=True)
time.sleep(5)
try:
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(len(s.recv(100)) > 0)
except ConnectionResetError:
    print("reset")
"""
    said = host.sandbox.start(f"cat >/tmp/client.py <<'END'\n{client}END\npython3 /tmp/client.py")
    assert said.stdout is not None
    assert said.stdout.readline() == b"connected\n"
    before = bite(host, NetReset(network="market", mechanism=mechanism))
    assert beside.pings()
    assert said.communicate(timeout=15)[0] == b"reset\n"
    heal(host, before)
    assert beside.answers(8001)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_large_packets_vanish_and_small_ones_pass(host: Rig, beside: Neighbour, mechanism: str) -> None:
    before = bite(host, MtuBlackhole(network="market", size=PacketSize(1000), mechanism=mechanism))
    assert beside.script("ping -c 1 -W 0.4 -s 972 10.9.1.2").ok
    assert not beside.script("ping -c 1 -W 0.4 -s 973 10.9.1.2").ok
    heal(host, before)
    assert beside.script("ping -c 1 -W 0.4 -s 973 10.9.1.2").ok
