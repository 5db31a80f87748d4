"""adapter-down on realistic hosts: what going down takes away is restored as it was, and nothing else is touched. Compared by the
test's own reading of the kernel, with the order of routes of one prefix; dash and busybox ash.

Judged by the test's own reading of the kernel, with the order of routes of one prefix; dash and busybox ash.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.plan import Plan
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.noop import Noop
from stormdesk.host import probe
from tests.shell.rig import CONFIRMED, Rig, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import REVERTED, bite

DOWN = AdapterDown(interface="eth1")
SECOND = """
ip link add eth2 type veth peer name peer2
ip link set eth2 up
ip link set peer2 up
"""
SETTLED = "! ip -6 addr show | grep -q tentative"
# IPv4 in the kernel's order. IPv6 sorted: its equal routes are a set, the kernel's choice among them knows no order.
NETWORK = """
ip -o addr show | sed 's/ tentative//; s/valid_lft [0-9]*sec/valid_lft some/; s/preferred_lft [0-9]*sec/preferred_lft some/' | sort
ip -o -4 route show table all
ip -o -6 route show table all | sed '/ table local proto kernel /d; s/expires [0-9]*sec/expires some/' | sort
ip -4 rule show
ip -6 rule show
ip -o neigh show nud permanent | sort
ip -o neigh show proxy | sort
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def comes_back(host: Rig, setting: str) -> None:
    """Down and up again with `setting`: everything that `NETWORK` prints is as before, line by line and in order."""
    host.sandbox.sh(setting)
    eventually(SETTLED, host.sandbox, 5)
    network = host.sandbox.sh(NETWORK).splitlines()
    before = bite(host, DOWN)
    host.sandbox.sh("[ $(cat /sys/class/net/eth1/operstate) = down ]")
    done = host.revert()
    assert (done.code, states(done)) == (0, REVERTED), probe.delta(done.stdout)
    assert host.clear().ok
    if "expires" not in "".join(before):  # the rig's picture has the seconds in it
        same(before, host.sandbox)
    eventually(SETTLED, host.sandbox, 5)
    assert host.sandbox.sh(NETWORK).splitlines() == network


SETTINGS = {
    "C01_default_routes_of_two_interfaces": SECOND
    + "ip addr add 10.9.2.2/24 dev eth2; ip route add default via 10.9.1.1 dev eth1; ip route append default via 10.9.2.1 dev eth2",
    "C01_default_routes_the_other_first": SECOND
    + "ip addr add 10.9.2.2/24 dev eth2; ip route add default via 10.9.2.1 dev eth2; ip route append default via 10.9.1.1 dev eth1",
    "C01_two_interfaces_with_one_prefix": SECOND
    + "ip addr add 10.9.1.3/24 dev eth2; ip -6 addr add fd99::3/64 dev eth2 nodad",
    "C01_two_interfaces_with_one_prefix_and_a_route_of_both": SECOND
    + "ip addr add 10.9.1.3/24 dev eth2; ip route append 10.9.1.0/24 dev eth1 scope link; ip route add 10.50.0.0/16 dev eth1; "
    "ip route append 10.50.0.0/16 dev eth2; ip route append 10.50.0.0/16 via 10.9.1.1 dev eth1",
    "C01_device_routes_v6": SECOND
    + "ip -6 route add fd50::/64 dev eth1 metric 7; ip -6 route append fd50::/64 dev eth2 metric 7",
    "C02_metrics": "ip addr del 10.9.1.2/24 dev eth1; ip addr add 10.9.1.2/24 metric 100 dev eth1; "
    "ip -6 addr add fd51::2/64 metric 99 dev eth1 nodad; ip route add 10.99.0.0/16 via 10.9.1.1 dev eth1",
    "C03_neighbours": "ip neigh add 10.9.1.77 lladdr 02:00:00:00:00:77 dev eth1 nud permanent; ip neigh add proxy 10.9.1.88 dev eth1; "
    "ip -6 neigh add fd99::77 lladdr 02:00:00:00:00:78 dev eth1 router nud permanent; ip -6 neigh add proxy fd99::88 dev eth1",
    "C23_routes_that_expire": "ip -6 route add default via fd99::1 dev eth1 proto ra metric 1024 expires 600; "
    "ip -6 route add fd52::/64 dev eth1 proto ra metric 100 expires 900 pref high; "
    "ip -6 route add fd58::/64 via fd99::1 dev eth1 expires 700; ip -6 route append fd58::/64 via fd99::7 dev eth1",
    "C24_two_gateways_of_one_prefix": "ip route add 10.60.0.0/16 via 10.9.1.9; ip route append 10.60.0.0/16 via 10.9.1.8; "
    "ip route append 10.60.0.0/16 via 10.9.1.7",
    "C24_device_route_after_a_gateway_of_one_prefix": "ip route add 10.61.0.0/16 via 10.9.1.9; ip route append 10.61.0.0/16 dev eth1",
    "C24_attributes": "ip route add 10.62.0.0/16 dev eth1 rto_min 50ms mtu lock 1400 rtt 100ms tos 0x10 advmss 1300 quickack 1 "
    "realm 5 initcwnd 20 initrwnd 30 hoplimit 9; ip route add 10.63.0.0/16 proto static scope link src 10.9.1.2 table 90 metric 3 "
    "dev eth1; ip -6 route add fd53::/64 via fd99::1 dev eth1 rto_min 40ms mtu 1400 hoplimit 7 src fd99::2; "
    "ip -6 addr add fd54::1 peer fd54::2/128 dev eth1 nodad; ip -6 addr add fd55::1/64 dev eth1 nodad valid_lft 900 preferred_lft 0; "
    "ip route add 10.64.0.0/16 nexthop via 10.9.1.5 dev eth1 weight 3 onlink nexthop via 10.9.1.6 dev eth1 weight 5; "
    "ip route add 10.65.0.0/16 via inet6 fe80::5 dev eth1; ip -6 addr add fd56::1/64 dev eth1 proto 44 home nodad; "
    "ip rule add from 10.9.1.2 table 90; ip -6 addr add fd57::1/64 dev eth1 nodad autojoin || :",
}


@pytest.mark.parametrize("case", SETTINGS)
def test_case(host: Rig, case: str) -> None:
    comes_back(host, SETTINGS[case])


# An `ip` that does, with a link, what a kernel module or a network manager would do that is not there; `invoke dev.vm` has the real ones.
WITH_THE_LINK = """
mkdir /tmp/tools
cp $(command -v ip) /tmp/tools/real
cat >/tmp/tools/ip <<'END'
#!/bin/sh
/tmp/tools/real "$@" || exit
case "$*" in 'link set dev eth1 '*) {acts} ;; esac
END
chmod 755 /tmp/tools/ip
mount --bind /tmp/tools/ip $(readlink -f $(command -v ip))"""

# The kernel takes VLANs down with what they are on, and puts all of them up with it, those that were down too.
VLANS = """
ip link add mv0 link eth1 type macvlan mode bridge
ip link add mv1 link eth1 type macvlan mode bridge
ip link set mv0 up
ip link set mv0 down
ip link set mv1 up
ip addr add 10.100.0.10/24 dev mv1
ip -6 addr add fd64::10/64 dev mv1 nodad
ip route add 10.101.0.0/16 via 10.100.0.1 dev mv1 metric 50
ip -6 route add fd65::/64 via fd64::1 dev mv1
"""


def test_case_C04_vlans_that_were_up_come_back_and_those_that_were_down_stay_down(host: Rig) -> None:
    acts = "for vlan in mv0 mv1; do /tmp/tools/real link set dev $vlan $5; done"
    comes_back(host, VLANS + WITH_THE_LINK.replace("{acts}", acts))
    assert host.sandbox.sh("for one in 0 1; do echo $(($(cat /sys/class/net/mv$one/flags) & 1)); done").split() == [
        "0",
        "1",
    ]


def test_case_C04_what_somebody_puts_up_in_the_hold_stays_up(host: Rig) -> None:
    host.sandbox.sh("ip link add mv0 link eth1 type macvlan mode bridge")
    bite(host, DOWN)
    host.sandbox.sh("ip link set mv0 up")
    assert host.revert().ok
    host.sandbox.sh("[ $(($(cat /sys/class/net/mv0/flags) & 1)) = 1 ]")


# Whoever holds a lease lets go of it with the link, as systemd-networkd does.
LEASE = """
ip -4 addr flush dev eth1
ip addr add 10.9.1.2/24 metric 100 brd + dev eth1 valid_lft 3000 preferred_lft 2000
ip addr add 10.9.1.3/24 dev eth1 label eth1:1
ip addr add 10.9.2.2 peer 10.9.2.1/32 dev eth1 label eth1:2 valid_lft 3000 preferred_lft 2000
ip route add 10.99.0.0/16 via 10.9.1.1 dev eth1 proto dhcp src 10.9.1.2 metric 100
"""


def test_leases_that_their_holder_let_go_of_come_back(host: Rig) -> None:
    comes_back(host, LEASE + WITH_THE_LINK.replace("{acts}", "[ $5 = up ] || /tmp/tools/real -4 addr flush dev eth1"))


# A manager that hears of the link starts from nothing, and has its lease some seconds later, however often we put it back before.
MANAGER = """[ $5 = down ] || [ -e /tmp/started ] || { : >/tmp/started; (for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
/tmp/tools/real -4 addr flush dev eth1; sleep 0.2; done) </dev/null >/dev/null 2>&1 & }"""


def test_a_manager_that_takes_its_time_does_not_make_the_watchdog_late(host: Rig) -> None:
    host.sandbox.sh(LEASE + WITH_THE_LINK.replace("{acts}", MANAGER))
    assert host.arm(host.plan(DOWN, ttl_s=4)).ok
    eventually("grep -q REVERTED /run/stormdesk/r-*/record", host.sandbox, 60)
    record = host.record()
    assert record.value("not_verified") == "1"
    assert record.lateness_ms <= 1500


ABSENT = """mkdir /tmp/tools
cp $(command -v ip) /tmp/tools/real
cat >/tmp/tools/ip <<'END'
#!/bin/sh
case " $* " in
  *' -6 '*) echo 'RTNETLINK answers: Address family not supported by protocol' >&2; echo 'Dump terminated' >&2; exit 1 ;;
esac
exec /tmp/tools/real "$@"
END
printf '#!/bin/sh\\necho "Protocol not supported" >&2\\nexit 1\\n' >/tmp/tools/none
chmod 755 /tmp/tools/*
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
for tool in ip6tables-save iptables-save nft tc; do
  ! path=$(command -v $tool) || mount --bind /tmp/tools/none $(readlink -f $path)
done
mount --bind /tmp/tools/ip $(readlink -f $(command -v ip))"""


@pytest.mark.parametrize("fault", [DOWN, Noop()])
def test_case_C14_what_the_kernel_does_not_have_is_no_error(host: Rig, fault: AdapterDown | Noop) -> None:
    host.sandbox.sh(ABSENT)
    done = host.arm(host.plan(fault))
    assert (done.code, states(done)) == (0, CONFIRMED), done.stdout + done.stderr
    done = host.revert()
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert "!error" not in host.sandbox.sh("cat /run/stormdesk/*/before")


def test_case_C24_busybox_ip_is_refused_by_name_for_what_it_cannot_put_back(host: Rig) -> None:
    host.sandbox.sh("mount --bind $(command -v busybox) $(readlink -f $(command -v ip))")
    plan = DOWN.plan(host.facts(DOWN), host.site(), None)
    assert not isinstance(plan, Plan)
    assert "busybox" in plan.reason
    assert "fd99::2/64" in plan.reason
