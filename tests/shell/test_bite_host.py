"""host-freeze and ntp-block on a real kernel: what stands still, what does not, and what stays."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from stormdesk.faults.host.host_freeze import HostFreeze
from stormdesk.faults.time.ntp_block import NtpBlock
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import bite, heal
from tests.shell.test_bite_process import by_the_watchdog, family, finish, killed_half_way, stands, writes


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


# ---- host-freeze ----------------------------------------------------------------------------------------------------


def test_a_host_stands_still_but_for_what_keeps_it_in_reach(host: Rig) -> None:
    pid = family(host)
    host.sandbox.sh(
        "mkdir -p /tmp/bin; cp /bin/bash /tmp/bin/sshd; echo 'import time; time.sleep(99)' >/tmp/bin/supervisord"
    )
    for kept in (
        "/tmp/bin/sshd -c 'while :; do read -t 9 </dev/zero || sleep 9; done'",
        "python3 /tmp/bin/supervisord",
    ):
        host.sandbox.sh(f"setsid {kept} </dev/null >/dev/null 2>&1 &")
    theirs = host.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 & echo $!").strip()
    host.sandbox.sh(f"sleep 0.3; kill -STOP {theirs}")
    before = bite(host, HostFreeze())
    assert stands(host)
    stat = {
        line.split(None, 2)[2]: line.split()[1] for line in host.sandbox.sh("ps axww -o pid=,stat=,args=").splitlines()
    }
    assert [args for args, state in stat.items() if "/tmp/bin/" in args and state.startswith("T")] == []
    assert len([args for args in stat if "/tmp/bin/" in args]) == 2
    assert len([args for args, state in stat.items() if "watchdog.sh" in args and not state.startswith("T")]) == 2
    heal(host, before)
    assert writes(host)
    assert host.sandbox.sh(f"ps -o stat= -p {theirs}").startswith("T")
    assert host.sandbox.sh(f"ps -o stat= -p {pid}")[0] != "T"


def test_a_frozen_host_is_freed_by_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    family(host)
    finish(host, by_the_watchdog(host, HostFreeze(), 8.0))
    assert writes(host)
    finish(host, killed_half_way(host, HostFreeze(), "sd_freeze_host"))
    assert writes(host)


def test_a_host_whose_record_is_lost_is_freed_all_the_same(host: Rig) -> None:
    family(host)
    assert host.arm(host.plan(HostFreeze(), 10.0)).ok
    assert stands(host)
    host.sandbox.sh("rm -r /run/stormdesk/r-*")
    until = time.monotonic() + 20
    while not writes(host):
        assert time.monotonic() < until
    eventually("! pgrep -f watchdog.sh", host.sandbox, 10)


# ---- ntp-block ------------------------------------------------------------------------------------------------------

ASK = """timeout 2 python3 -S -c "import socket as s
u = s.socket(s.AF_INET{}, s.SOCK_DGRAM); u.settimeout(1); u.sendto(b'x', ('{}', {})); print(u.recv(9))"
"""
SERVER = """
cat >/tmp/server.py <<'END'
import socket as s
from threading import Thread
def serve(kind, at, port):
    u = s.socket(kind, s.SOCK_DGRAM)
    u.bind((at, port))
    while True:
        u.sendto(*u.recvfrom(99))
for at in ((s.AF_INET, "127.0.0.1"), (s.AF_INET6, "::1")):
    for port in (123, 124):
        Thread(target=serve, args=(*at, port)).start()
END
setsid python3 -S /tmp/server.py </dev/null >/dev/null 2>&1 &
"""


@pytest.mark.parametrize("mechanism", ["nft", "iptables"])
def test_time_servers_are_out_of_reach_and_nobody_else(host: Rig, mechanism: str) -> None:
    require("nft", "iptables")
    ours, theirs, six = ASK.format("", "127.0.0.1", 123), ASK.format("", "127.0.0.1", 124), ASK.format("6", "::1", 123)
    host.sandbox.sh(SERVER)
    tables = "for tool in iptables ip6tables; do $tool -t mangle -N x; $tool -t mangle -X x; done"  # which it leaves behind, empty
    host.sandbox.sh(f"{tables}; iptables -A OUTPUT -p tcp --dport 7777 -j DROP; nft add table inet theirs")
    eventually(ours, host.sandbox, 5)
    fault = NtpBlock(mechanism=mechanism)
    before = bite(host, fault)
    assert not host.sandbox.script(ours).ok
    assert not host.sandbox.script(six).ok
    assert "x" in host.sandbox.sh(theirs)
    heal(host, before)
    assert "x" in host.sandbox.sh(ours)
    assert "x" in host.sandbox.sh(six)
    finish(host, by_the_watchdog(host, fault, 8.0))
    finish(host, killed_half_way(host, fault, "sd_chain") if mechanism == "iptables" else bite(host, fault))
    assert "table inet theirs" in host.sandbox.sh("nft list ruleset")


def test_probing_netfilter_changes_nothing(host: Rig) -> None:
    require("nft", "iptables")
    before = host.sandbox.sh("nft list ruleset; iptables-save")
    facts = host.facts(NtpBlock())
    assert [facts.answers[name].stdout.strip() for name in ("nft", "iptables")] == ["yes", "yes"]
    assert host.sandbox.sh("nft list ruleset; iptables-save") == before
