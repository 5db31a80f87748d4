"""Faults on interfaces and ports of a host, on a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.values import Interval
from stormdesk.faults.net.adapter_flap import AdapterFlap
from stormdesk.faults.net.port_exhaust import RANGE, RESERVED, PortExhaust
from tests.shell.neighbour import until
from tests.shell.rig import Rig, picture, rig, same
from tests.shell.sandbox import SHELLS
from tests.shell.test_bite import bite, heal

CONNECT = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 1))' 2>&1 || :"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def is_up(host: Rig) -> bool:
    return host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "up\n"


def test_an_adapter_flaps_with_all_that_is_on_it(host: Rig) -> None:
    before = bite(host, AdapterFlap(network="market", down=Interval("1s"), up=Interval("1s")))
    routes = host.sandbox.sh
    assert not is_up(host)
    until(lambda: is_up(host) and "10.99.0.0/16" in routes("ip route"))
    assert "fd99::2" in routes("ip -6 addr show dev eth1")
    assert "fd98::/64" in routes("ip -6 route")
    until(lambda: not is_up(host))
    until(lambda: is_up(host))
    heal(host, before)


def test_a_flap_lifts_while_it_is_down_and_while_it_is_up(host: Rig) -> None:
    for up in (False, True):
        before = bite(host, AdapterFlap(network="market", down=Interval("1s"), up=Interval("3s")))
        until(lambda up=up: is_up(host) is up)  # type: ignore[misc]
        heal(host, before)


def test_the_watchdog_ends_a_flap(host: Rig) -> None:
    before = picture(host.sandbox)
    host.arm(host.plan(AdapterFlap(network="market", down=Interval("1s"), up=Interval("1s")), ttl_s=2.5))
    until(lambda: host.state() == "REVERTED")
    host.clear()
    same(before, host.sandbox)


def test_no_ephemeral_port_is_left(host: Rig) -> None:
    host.sandbox.sh(f"echo 7000-7002 >{RESERVED}")
    before = bite(host, PortExhaust())
    assert "Cannot assign requested address" in host.sandbox.sh(CONNECT)
    heal(host, before)
    assert "Connection refused" in host.sandbox.sh(CONNECT)
    assert host.sandbox.sh(f"cat {RANGE} {RESERVED}") == "32768\t60999\n7000-7002\n"


def test_a_range_that_an_operator_sets_meanwhile_is_kept(host: Rig) -> None:
    bite(host, PortExhaust())
    host.sandbox.sh(f"echo '20000 30000' >{RANGE}")
    assert host.revert().ok
    assert host.sandbox.sh(f"cat {RANGE} {RESERVED}") == "20000\t30000\n\n"
