"""The fingerprint that says clean or dirty: it sees one difference of each strict kind, and none where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.values import Size
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.host import probe
from tests.shell.rig import Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually, require

HTB = "tc class %s dev peer1 parent 1: classid 1:1 htb rate 1mbit"
FILTER = "tc filter add dev peer1 parent ffff: protocol ip pref 9 u32 match ip dst 1.2.3.4 flowid 1:1"

# kind and what: (set the scene before the run, plant one difference, take it away again)
PLANTED = {
    "link": ("", "ip link set dev peer1 mtu 1400", "ip link set dev peer1 mtu 1500"),
    "addr": ("", "ip addr add 10.9.1.77/24 dev eth1", "ip addr del 10.9.1.77/24 dev eth1"),
    "addr v6": ("", "ip addr add fd99::77/64 dev eth1 nodad", "ip addr del fd99::77/64 dev eth1"),
    "route4": ("", "ip route del 10.99.0.0/16", "ip route add 10.99.0.0/16 via 10.9.1.1 dev eth1"),
    "route4 table": ("", "ip route add 10.5.0.0/16 dev eth1 table 9", "ip route flush table 9"),
    "route6": ("", "ip -6 route add fd55::/64 dev eth1", "ip -6 route del fd55::/64 dev eth1"),
    "rule4": ("", "ip rule add from 10.1.1.1 table 9", "ip rule del from 10.1.1.1 table 9"),
    "rule6": ("", "ip -6 rule add from fd55::1 table 9", "ip -6 rule del from fd55::1 table 9"),
    "qdisc": ("", "tc qdisc add dev eth1 root pfifo limit 7", "tc qdisc del dev eth1 root"),
    "class": ("tc qdisc add dev peer1 root handle 1: htb", HTB % "add", HTB % "del"),
    "filter": ("tc qdisc add dev peer1 handle ffff: ingress", FILTER, "tc filter del dev peer1 parent ffff:"),
    "iptables": ("iptables -A INPUT -s 10.1.1.1", "iptables -A INPUT -s 10.1.1.2", "iptables -D INPUT -s 10.1.1.2"),
    "iptables order": (
        "for i in 3 4; do iptables -A OUTPUT -s 10.1.1.$i; done",
        "iptables -D OUTPUT 1; iptables -A OUTPUT -s 10.1.1.3",
        "iptables -D OUTPUT 2; iptables -I OUTPUT -s 10.1.1.3",
    ),
    "ip6tables": (
        "ip6tables -P FORWARD DROP; ip6tables -P FORWARD ACCEPT",
        "ip6tables -P FORWARD DROP",
        "ip6tables -P FORWARD ACCEPT",
    ),
    "nft": ("", "nft add table inet theirs", "nft delete table inet theirs"),
    "mount": ("mkdir /tmp/spot", "mount -t tmpfs tmpfs /tmp/spot", "umount /tmp/spot"),
    "mount options": ("", "mount -o remount,noexec /dev/shm", "mount -o remount,exec /dev/shm"),
    "sysctl": ("", "sysctl -qw net.ipv4.conf.eth1.rp_filter=1", "sysctl -qw net.ipv4.conf.eth1.rp_filter=0"),
    "sysctl v6": ("", "sysctl -qw net.ipv6.conf.eth1.accept_ra=0", "sysctl -qw net.ipv6.conf.eth1.accept_ra=1"),
    "file content": ("cp -p /etc/hosts /tmp/hosts", "echo 1.2.3.4 x >>/etc/hosts", "cat /tmp/hosts >/etc/hosts"),
    "file mode": ("", "chmod 600 /etc/passwd", "chmod 644 /etc/passwd"),
    "file owner": ("", "chown 7 /etc/resolv.conf", "chown 0 /etc/resolv.conf"),
    "file inode": ("", "cd /etc; mv hosts h; cp -p h hosts", "mv /etc/h /etc/hosts"),
    "file removed": ("", "mv /etc/resolv.conf /etc/r", "mv /etc/r /etc/resolv.conf"),
}
LIB = "rec=/run/stormdesk/r-20261121-0312-k3f9; sd_base=/run/stormdesk; . $rec/lib.sh; . $rec/plan.sh; "
SUPERVISOR = """
printf '%s\\n' '[unix_http_server]' file=/run/supervisor.sock '[supervisord]' logfile=/dev/null logfile_maxbytes=0 \\
  pidfile=/run/supervisord.pid '[rpcinterface:supervisor]' \\
  supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface '[supervisorctl]' \\
  serverurl=unix:///run/supervisor.sock '[program:idle]' command='sleep 1000' startsecs=0 >/etc/supervisord.conf
mkdir -p /etc/supervisor
cp /etc/supervisord.conf /etc/supervisor
supervisord -c /etc/supervisord.conf
"""


@pytest.fixture(scope="module", params=SHELLS)
def armed(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A host with a run armed, so nothing is changed yet, after every scene was set."""
    require("iptables", "nft")
    with rig(request.param) as one:
        for scene, _, _ in PLANTED.values():
            one.sandbox.sh(f"{scene}\n:")
        before = picture(one.sandbox)
        assert one.arm(one.plan(DiskFull(size=Size("4MiB")), ttl_s=600), inject=False).ok
        yield one
        assert one.revert().ok
        assert one.clear().ok
        same(before, one.sandbox)


def clean(host: Rig) -> bool:
    return host.sandbox.script(f"{LIB} sd_verify watchdog").ok


@pytest.mark.parametrize("kind", PLANTED)
def test_one_planted_difference_is_dirty_until_it_is_gone(armed: Rig, kind: str) -> None:
    _, plant, remove = PLANTED[kind]
    script = f"{LIB}\n({plant})\nsd_fingerprint\nsd_verify watchdog && echo CLEAN\n({remove})\nsd_verify watchdog"
    done = armed.sandbox.script(script)
    assert (done.code, done.stderr) == (0, "")
    assert "CLEAN" not in done.stdout
    name = kind.partition(" ")[0]
    before = armed.sandbox.sh("cat /run/stormdesk/r-*/before").splitlines()
    seen = [line for line in done.stdout.splitlines() if line.startswith(name)]
    assert seen != [line for line in before if line.startswith(name)]


def test_a_manager_that_does_not_answer_is_no_host_without_services() -> None:
    """Else the services would be a difference later, and the run could never be verified."""
    require("supervisord")
    with rig() as host:
        host.sandbox.sh(SUPERVISOR)
        eventually("supervisorctl status idle | grep -q RUNNING", host.sandbox, 10)
        plan = host.plan(DiskFull(size=Size("4MiB")))
        host.sandbox.sh("kill -KILL $(cat /run/supervisord.pid)")
        done = host.arm(plan)
        assert done.code == 10
        assert "cannot read this host: service !error supervisorctl status" in probe.refusal(done.stdout)


def test_a_service_that_stopped_is_dirty() -> None:
    require("supervisord")
    with rig() as host:
        host.sandbox.sh(SUPERVISOR)
        eventually("supervisorctl status idle | grep -q RUNNING", host.sandbox, 10)
        assert host.arm(host.plan(DiskFull(size=Size("4MiB"))), inject=False).ok
        assert clean(host)
        host.sandbox.sh("supervisorctl stop idle")
        done = host.revert(patience_s=0)
        assert (done.code, probe.fingerprint_diff(done.stdout)) == (
            14,
            ("- service idle RUNNING", "+ service idle STOPPED"),
        )
        host.sandbox.sh("supervisorctl start idle")
        assert host.revert().ok


def test_a_dirty_host_is_told_with_what_differs(armed: Rig) -> None:
    armed.sandbox.sh("ip route add 10.66.0.0/16 dev eth1; iptables -A INPUT -s 10.6.6.6")
    done = armed.revert(patience_s=0)
    armed.sandbox.sh("ip route del 10.66.0.0/16 dev eth1; iptables -D INPUT -s 10.6.6.6")
    assert (done.code, states(done)[-1]) == (14, "REVERT_FAILED")
    diff = probe.fingerprint_diff(done.stdout)
    assert "+ iptables -A INPUT -s 10.6.6.6/32" in diff
    assert "+ route4 10.66.0.0/16 dev eth1 scope link" in [line.strip() for line in diff]
    assert armed.clear().code == 15


def test_a_read_that_fails_is_never_taken_for_clean(armed: Rig) -> None:
    """A tool that stops working is not the same as nothing to see."""
    armed.sandbox.sh("mount --bind /bin/false $(readlink -f $(command -v tc))")
    text = armed.sandbox.sh(f"{LIB} sd_fingerprint").splitlines()
    assert not clean(armed)
    armed.sandbox.sh("umount $(readlink -f $(command -v tc))")
    assert "qdisc !error tc qdisc show 1" in text
    assert clean(armed)


def test_an_idle_host_looks_the_same_twenty_times(armed: Rig) -> None:
    times = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"
    lines = armed.sandbox.sh(f"{LIB} {times}; do sd_fingerprint | sha256sum; done").splitlines()
    assert (len(lines), len(set(lines))) == (20, 1)
    kinds = [line.split()[0] for line in armed.sandbox.sh(f"{LIB} sd_fingerprint").splitlines()]
    assert {"class", *kinds} >= {kind.partition(" ")[0] for kind in PLANTED}
    assert len(kinds) > 300


def test_traffic_and_time_are_no_difference(armed: Rig) -> None:
    """Counters, lifetimes, the neighbour cache and small files come and go."""
    armed.sandbox.sh("ip neigh add 10.9.1.50 lladdr 02:00:00:00:00:01 dev eth1 nud stale")
    armed.sandbox.sh("ping -c 2 -i 0.2 -W 1 10.9.1.2 >/dev/null || :; head -c 3145728 /dev/zero >/var/lib/trading/new")
    assert clean(armed)
    armed.sandbox.sh("ip neigh flush all; rm /var/lib/trading/new")
