"""Impaired packets on a real kernel, measured from another host; they pass as before when the fault lifts, in whatever order."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest

from stormdesk.core.fault import Fault, Unsupported
from stormdesk.core.packets import Burst, Delay, Direction, Ports
from stormdesk.core.plan import Plan
from stormdesk.core.values import BitRate, Percent
from stormdesk.faults.net.impairing import Impairing
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.faults.net.net_corrupt import NetCorrupt
from stormdesk.faults.net.net_duplicate import NetDuplicate
from stormdesk.faults.net.net_latency import NetLatency
from stormdesk.faults.net.net_loss import NetLoss
from stormdesk.faults.net.net_reorder import NetReorder
from stormdesk.witness import KINDS
from tests.shell.neighbour import Neighbour
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS
from tests.shell.test_bite import bite, heal


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


@pytest.fixture
def beside(host: Rig) -> Neighbour:
    tables = "for table in mangle filter; do $tool -t $table -N x; $tool -t $table -X x; done"
    host.sandbox.sh(f"for tool in iptables ip6tables; do {tables}; done")
    return Neighbour(host.sandbox, 8001)


def round_trip_ms(beside: Neighbour, address: str = "10.9.1.2") -> float:
    """The median of nine."""
    said = beside.sh(f"ping -c 9 -i 0.05 -W 3 {address}")
    times = sorted(float(time) for time in re.findall(r"time=([0-9.]+) ms", said))
    assert len(times) == 9
    return times[4]


def lost_percent(beside: Neighbour) -> float:
    done = beside.script("ping -f -q -c 400 -w 4 10.9.1.2")
    found = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    assert found
    return 100 * (1 - int(found[2]) / int(found[1]))


def test_latency_both_ways_and_only_of_what_is_selected(host: Rig, beside: Neighbour) -> None:
    before = bite(host, NetLatency(network="market", delay=Delay("80ms")))
    assert 78 < round_trip_ms(beside) < 110
    assert 78 < round_trip_ms(beside, "fd99::2") < 110
    heal(host, before)
    assert round_trip_ms(beside) < 40
    before = bite(host, NetLatency(peer="10.9.1.1", delay=Delay("80ms"), direction=Direction("both")))
    assert 158 < round_trip_ms(beside) < 200
    assert round_trip_ms(beside, "fd99::2") < 40
    heal(host, before)
    before = bite(host, NetLatency(port=Ports("8001"), delay=Delay("300ms"), direction=Direction("in")))
    assert round_trip_ms(beside) < 40
    assert float(host.sandbox.sh("curl -s -o /dev/null -w '%{time_connect}' http://10.9.1.1:8001/")) > 0.29
    heal(host, before)


@pytest.mark.parametrize("mechanism", ["nft-numgen", "iptables-statistic", "nfqueue"])
def test_loss_is_as_asked_for(host: Rig, beside: Neighbour, mechanism: str) -> None:
    before = bite(host, NetLoss(network="market", percent=Percent(25), mechanism=mechanism))
    assert 15 < lost_percent(beside) < 35
    heal(host, before)
    assert lost_percent(beside) < 5


def test_bursts_lose_as_much_in_longer_runs(host: Rig, beside: Neighbour) -> None:
    before = bite(host, NetLoss(network="market", percent=Percent(30), burst=Burst(5)))
    said = beside.sh("ping -c 1500 -i 0.002 -W 1 10.9.1.2 || :")
    seen = {int(number) for number in re.findall(r"icmp_seq=(\d+)", said)}
    missing = "".join("." if number in seen else "x" for number in range(1, 1501))
    runs = [len(run) for run in missing.split(".") if run]
    assert 15 < 100 * missing.count("x") / 1500 < 45
    assert sum(runs) / len(runs) > 3
    heal(host, before)


def test_duplicates_corruption_and_order(host: Rig, beside: Neighbour) -> None:
    before = bite(host, NetDuplicate(network="market", percent=Percent(30)))
    doubled = KINDS["seen-twice"].read(0, beside.script("ping -f -q -c 400 -w 4 10.9.1.2").stdout)
    assert doubled is not None
    assert 20 < doubled < 40
    heal(host, before)
    before = bite(host, NetCorrupt(network="market", percent=Percent(30)))
    said = beside.sh("ping -c 200 -i 0.005 -s 1000 -W 1 10.9.1.2")
    assert 20 < 100 * len(re.findall("wrong data byte|BAD CHECKSUM", said)) / 200 < 40
    heal(host, before)
    before = bite(host, NetReorder(network="market", percent=Percent(25), delay=Delay("40ms")))
    order = [int(number) for number in re.findall(r"icmp_seq=(\d+)", beside.sh("ping -c 60 -i 0.01 -W 2 10.9.1.2"))]
    assert order != sorted(order)
    heal(host, before)


def test_two_on_one_interface_compose_and_lift_in_either_order(host: Rig, beside: Neighbour) -> None:
    ids = ("r-20261121-0312-aaaa", "r-20261121-0312-bbbb", "r-20261121-0312-cccc")
    faults: tuple[Fault, ...] = (
        NetLatency(network="market", delay=Delay("60ms")),
        NetLoss(network="market", percent=Percent(20)),
        NetBandwidth(network="market", rate=BitRate("10Mbit")),
    )
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        before = picture(host.sandbox)
        for run_id, fault in zip(ids, faults, strict=True):
            host.run_id = run_id
            done = host.arm(host.plan(fault))
            assert states(done) == CONFIRMED, done.stdout
        assert round_trip_ms_of_some(beside) > 58
        assert 8 < lost_percent(beside) < 35
        for number in order:
            host.run_id = ids[number]
            done = host.revert()
            assert done.ok, done.stdout
        for run_id in ids:
            host.run_id = run_id
            host.clear()
        same(before, host.sandbox)
        assert lost_percent(beside) < 5
        assert round_trip_ms(beside) < 40


def round_trip_ms_of_some(beside: Neighbour) -> float:
    """The median of the answers that came."""
    said = beside.script("ping -c 15 -i 0.05 -W 1 10.9.1.2").stdout
    times = sorted(float(time) for time in re.findall(r"time=([0-9.]+) ms", said))
    return times[len(times) // 2]


def test_a_shim_that_dies_lets_packets_pass_and_is_no_fault_any_more(host: Rig, beside: Neighbour) -> None:
    before = bite(host, NetLatency(network="market", delay=Delay("200ms")))
    host.sandbox.sh("kill -KILL $(cat /run/stormdesk/r-*/helper.shim | cut -d. -f1)")
    assert round_trip_ms(beside) < 40
    heal(host, before)


def test_a_second_fault_that_needs_the_queue_is_refused_before_anything_is_touched(
    host: Rig, beside: Neighbour
) -> None:
    before = bite(host, NetLatency(network="market", delay=Delay("80ms"), mechanism="nfqueue"))
    during = picture(host.sandbox)
    other = Rig(host.sandbox, run_id="r-20261121-0399-aaaa", host=host.host)
    done = other.arm(other.plan(NetCorrupt(port=Ports("8001"), mechanism="nfqueue")))
    assert done.code == 10
    assert f"refused nfqueue:23808 is taken by run {host.run_id}" in done.stdout
    assert states(done) == []
    same(during, host.sandbox)
    assert 78 < round_trip_ms(beside) < 110
    heal(host, before)
    before = bite(other, NetCorrupt(port=Ports("8001"), mechanism="nfqueue"))
    heal(other, before)


def test_what_no_mechanism_can_do_is_refused_with_each_reason(host: Rig, beside: Neighbour) -> None:
    fault = NetDuplicate(network="market", direction=Direction("both"))
    made = dataclasses.replace(fault)
    assert isinstance(made, Impairing)
    facts = host.facts(fault)
    said = fault.plan(facts, host.site(), None)
    assert not isinstance(said, Plan)
    assert isinstance(said, Unsupported)
    assert re.search(
        "netem: .*; nft-numgen: it loses packets, each by itself.*; nfqueue: it duplicates what is sent", said.reason
    )
