"""Bugs of other tools that this one must not have, where no other test shows it; docs/reliability.md lists all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.words import FileMode
from stormdesk.faults.file.file_corrupt import FileCorrupt
from stormdesk.faults.file.file_permission import FilePermission
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.net.net_partition import NetPartition
from stormdesk.host.scripts import host_scripts
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, require

FILE = "/var/lib/trading/bound"
# A table of iptables stays, empty, once there was a chain in it.
TABLES = "for tool in iptables ip6tables; do for t in filter mangle; do $tool -t $t -N x; $tool -t $t -X x; done; done"
RULES = "iptables-save | grep -v '^#'; nft list ruleset 2>/dev/null || :"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def healed(host: Rig, fault: Fault) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(fault))) == CONFIRMED
    done = host.revert()
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done
    assert host.clear().ok
    same(before, host.sandbox)


def test_bug_B04_the_undo_works_on_the_interface_of_the_fault(host: Rig) -> None:
    """Another tool put eth0 back, whatever it had broken."""
    host.sandbox.sh(
        "ip link add eth7 type veth peer name peer7; ip addr add 10.9.7.2/24 dev eth7; ip link set eth7 up; ip link set peer7 up"
    )
    watching = host.sandbox.start("timeout 20 ip -o monitor link")
    healed(host, AdapterDown(interface="eth7"))
    host.sandbox.sh("pkill -f 'ip -o monitor' || :")
    seen = watching.communicate(timeout=10)[0].decode()
    assert "eth7" in seen
    assert "eth1" not in seen


def test_bug_B11_a_partition_lifts_though_addresses_are_others_by_then(host: Rig) -> None:
    """Another tool looked its target up again, found the new address, and left the old one cut off."""
    require("iptables")
    host.sandbox.sh(TABLES)
    fault = NetPartition(network="market", peer="10.9.1.9")
    before = host.sandbox.sh(RULES)
    assert states(host.arm(host.plan(fault))) == CONFIRMED
    assert host.sandbox.sh(RULES) != before
    host.sandbox.sh("ip addr del 10.9.1.2/24 dev eth1; ip addr add 10.9.1.77/24 dev eth1")
    host.revert()
    assert host.sandbox.sh(RULES) == before
    assert "10.9.1.77" in host.sandbox.sh("ip addr show dev eth1")  # what somebody did meanwhile stays


@pytest.mark.parametrize(
    "fault",
    [FileCorrupt(path=FILE), FilePermission(path=FILE, user="nobody", mode=FileMode("000"))],
    ids=["corrupt", "permission"],
)
def test_bug_B17_a_file_that_is_a_mount_point_is_put_back_in_place(host: Rig, fault: Fault) -> None:
    """As /etc/hosts in a container: nothing can be renamed over it, and who has it open must see it healed."""
    host.sandbox.sh(f"echo kept >/tmp/there; chmod 644 /tmp/there; : >{FILE}; mount --bind /tmp/there {FILE}")
    inode = host.sandbox.sh(f"stat -c %i {FILE}")
    healed(host, fault)
    assert host.sandbox.sh(f"stat -c %i {FILE}; cat {FILE}") == f"{inode}kept\n"


def test_bug_B21_every_call_of_iptables_waits_for_its_lock() -> None:
    """Two that change rules at once: whoever comes second waits. The iptables of nft have no lock, so a host cannot show it."""
    text = host_scripts()["verbs/netfilter.sh"]
    calls = re.findall(r'"\$(?:1|sd_tool)(?:-restore)?" (-\S+ \S+)', text)
    assert len(calls) >= 5
    assert set(calls) == {"-w 5"}
