"""net-bandwidth on a real kernel: the limit takes effect and leaves no trace, and a qdisc that is not ours is never touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.values import BitRate
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.host import library
from tests.shell.rig import CONFIRMED, Rig, rig, states
from tests.shell.sandbox import SHELLS
from tests.shell.test_bite import bite, heal

THEIRS = "tc qdisc add dev eth1 root handle 7: pfifo limit 50"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


@pytest.mark.parametrize("mechanism", ["tbf", "htb"])
def test_a_limit_is_in_and_goes_without_a_trace(host: Rig, mechanism: str) -> None:
    before = bite(host, NetBandwidth(network="market", rate=BitRate("2Mbit"), mechanism=mechanism))
    assert f"qdisc {mechanism} 5d00:" in host.sandbox.sh("tc qdisc show dev eth1")
    assert "rate 2Mbit" in host.sandbox.sh("tc qdisc show dev eth1; tc class show dev eth1")
    heal(host, before)


def test_probing_the_kernel_changes_nothing(host: Rig) -> None:
    facts = host.facts(NetBandwidth(network="market"))
    assert [facts.answers[name].stdout.strip() for name in ("tbf", "htb")] == ["yes", "yes"]
    verbs = library.for_commands(host.scripts, [("sd_qdisc_able",)])
    said = host.sandbox.sh(f"{verbs}\nsd_qdisc_able nonsense; sd_qdisc_able tbf")
    assert said.splitlines()[0].startswith("no: ")
    assert said.splitlines()[1].startswith("no: ")  # without its parameters, as a kernel that cannot do them


def test_a_qdisc_of_somebody_else_is_refused_at_the_plan_and_after_it(host: Rig) -> None:
    plan = host.plan(NetBandwidth(network="market"))
    host.sandbox.sh(THEIRS)
    done = host.arm(plan)
    assert states(done)[-1] == "ACKED"
    assert "qdisc pfifo 7: root" in done.stdout
    assert host.revert().ok
    assert "qdisc pfifo 7: root" in host.sandbox.sh("tc qdisc show dev eth1")
    with pytest.raises(RefusedError, match="already has a root qdisc: qdisc pfifo 7: root"):
        host.plan(NetBandwidth(network="market"))


def test_a_replacement_by_others_is_left_alone(host: Rig) -> None:
    assert states(host.arm(host.plan(NetBandwidth(network="market")))) == CONFIRMED
    host.sandbox.sh(f"tc qdisc del dev eth1 root; {THEIRS}")
    host.revert()
    assert "qdisc pfifo 7: root" in host.sandbox.sh("tc qdisc show dev eth1")
