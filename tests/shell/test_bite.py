"""Each fault takes effect and is undone without a trace, on a real kernel, in dash and in busybox ash.

The picture before and after is taken by the test's own means (rig.picture), the engine's pictures judge beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.inventory import ServiceEntry
from stormdesk.core.plan import Plan
from stormdesk.core.values import Duration, Percent, Signal, Size
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.host import probe
from stormdesk.infra.backends.lab import volume
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually, require
from tests.skips import cannot

REVERTED = [*CONFIRMED, "REVERTING", "REVERTED"]
TRY_TO_WRITE = "setpriv --reuid nobody --regid nogroup --clear-groups dd if=/dev/zero bs=4096 count=1 conv=fsync >>{}"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


@pytest.fixture(params=[(shell, disk) for shell in SHELLS for disk in ("tmpfs", "ext4")], ids="-".join)
def disk_host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    shell, disk = request.param
    if disk == "ext4" and not volume.loops_available():
        cannot("it has no loop devices")
    with rig(shell, tmp_path / "image" if disk == "ext4" else None) as one:
        yield one


def bite(rig: Rig, fault: Fault) -> list[str]:
    """Arm and inject; returns the picture from before. Fails unless the fault is confirmed."""
    before = picture(rig.sandbox)
    done = rig.arm(rig.plan(fault))
    assert (done.code, done.stderr, states(done)) == (0, "", CONFIRMED), done.stdout
    return before


def heal(rig: Rig, before: list[str]) -> None:
    """Revert, verify and clear; the host is as in the picture."""
    done = rig.revert()
    assert (done.code, done.stderr) == (0, ""), probe.delta(done.stdout)
    assert states(done) == REVERTED
    assert probe.records(done.stdout)[0].value("reverted_by") == "controller"
    cleared = rig.clear()
    assert (cleared.code, cleared.stdout, cleared.stderr) == (0, "", "")
    same(before, rig.sandbox)


# ---- disk-full ------------------------------------------------------------------------------------------------------


def test_disk_full_refuses_the_next_block_and_gives_everything_back(disk_host: Rig) -> None:
    box = disk_host.sandbox
    box.sh(
        "cd /var/lib/trading; mkdir -m 777 mine; seq 1 9000 >mine/ledger; ln -s ledger mine/link; touch mine/log; chmod 666 mine/*"
    )
    before = bite(disk_host, DiskFull())
    refused = box.script(TRY_TO_WRITE.format("/var/lib/trading/mine/log"))
    assert "No space left on device" in refused.stderr
    assert int(box.sh("df -Pk /var/lib/trading | tail -n 1").split()[3]) == 0
    assert box.sh("tail -n 1 /var/lib/trading/mine/ledger") == "9000\n"
    box.sh(": >/var/lib/trading/mine/log")
    heal(disk_host, before)
    box.sh(TRY_TO_WRITE.format("/var/lib/trading/mine/log"))


@pytest.mark.parametrize(
    ("fault", "used"),
    [(DiskFull(percent=Percent(50)), 16), (DiskFull(size=Size("8MiB")), 8), (DiskFull(reserve=Size("2MiB")), 30)],
)
def test_disk_full_takes_as_much_as_it_was_told(host: Rig, fault: DiskFull, used: int) -> None:
    before = bite(host, fault)
    assert int(host.sandbox.sh("df -Pm /var/lib/trading | tail -n 1").split()[2]) == used
    heal(host, before)


def test_disk_full_without_fallocate_uses_dd(disk_host: Rig) -> None:
    disk_host.sandbox.sh("mount --bind /bin/false $(command -v fallocate)")
    before = bite(disk_host, DiskFull())
    assert int(disk_host.sandbox.sh("df -Pk /var/lib/trading | tail -n 1").split()[3]) == 0
    heal(disk_host, before)


def test_disk_full_in_a_folder_whose_name_needs_quotes(host: Rig) -> None:
    folder = "/var/lib/trading/a b'c;$(reboot) é"
    host.sandbox.sh('mkdir -m 777 /var/lib/trading/"a b\'c;\\$(reboot) é"')
    before = bite(host, DiskFull(path=folder))
    heal(host, before)


def test_disk_full_notes_space_that_others_took_meanwhile(host: Rig) -> None:
    """Somebody else's 20 MiB are in the record, and no verdict, even where no file shows them."""
    host.sandbox.sh("mkdir '/var/lib/trading/a b'")
    before = bite(host, DiskFull(path="/var/lib/trading/a b", size=Size("4MiB")))
    hidden = "/var/lib/trading/hidden"
    host.sandbox.sh(f"head -c 20971520 /dev/zero >{hidden}; sleep 60 <{hidden} >/dev/null 2>&1 & echo $! >/tmp/holder")
    host.sandbox.sh(f"rm {hidden}")
    done = host.revert(patience_s=0.5)
    assert (done.code, states(done)[-1]) == (0, "REVERTED")
    assert "STEP space_kib=+20480 in /var/lib/trading/a b\n" in done.stdout
    host.sandbox.sh("kill $(cat /tmp/holder)")
    assert host.clear().ok
    same(before, host.sandbox)


# ---- adapter-down ---------------------------------------------------------------------------------------------------

RICH = """
ip link add eth2 type veth peer name peer2
ip link set eth2 up
ip link set peer2 up
ip addr add 10.9.2.2/24 dev eth2
ip -6 addr add fd94::1/64 dev eth2 nodad
ip addr add 10.9.1.9/24 dev eth1 valid_lft 1000 preferred_lft 900
ip addr add 10.9.3.3 peer 10.9.3.4 dev eth1 label eth1:x
ip -6 addr add fd99::9/64 dev eth1 nodad valid_lft 1000 preferred_lft 900
ip -6 addr add fd99::8/64 dev eth1
ip -6 addr add fe80::99/64 dev eth1 nodad
ip -6 addr add fd95::1/128 dev eth1 nodad noprefixroute
ip route add 10.98.0.0/16 via 192.0.2.1 dev eth1 onlink
ip route add 10.97.0.0/16 nexthop via 10.9.1.1 dev eth1 weight 1 nexthop via 10.9.2.1 dev eth2 weight 2
ip route add 10.96.0.0/16 nexthop via 10.9.1.1 dev eth1 weight 1 nexthop via 10.9.1.7 dev eth1 weight 2
ip route add 10.95.0.0/16 dev eth1 table 77 scope link mtu 1400
ip route add local 10.93.0.0/16 dev eth1 table 100
ip route add 10.200.0.1 dev eth1 scope link
ip route add 10.1.0.0/16 via 10.200.0.1 dev eth1 proto static metric 50
ip -6 route add fd97::/64 nexthop via fd99::1 dev eth1 nexthop via fd99::7 dev eth1
ip -6 route add fd93::/64 nexthop via fd99::1 dev eth1 nexthop via fe80::7 dev eth2
ip -6 route add fd96::/64 via fe80::77 dev eth1 metric 5
ip rule add iif eth1 table 77
ip -6 rule add oif eth1 table 77
tc qdisc replace dev eth1 root pfifo limit 77
command -v iptables >/dev/null && iptables -A INPUT -i eth1 -p tcp --dport 7777 -m comment --comment "not yours" -j DROP
:
"""


def test_adapter_down_puts_every_address_route_and_rule_back(host: Rig) -> None:
    host.sandbox.sh(RICH)
    eventually("! ip -6 addr show | grep tentative", host.sandbox, 4)
    before = bite(host, AdapterDown(interface="eth1"))
    assert host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "down\n"
    assert "fd99::" not in host.sandbox.sh("ip -6 addr show dev eth1")
    heal(host, before)


# ---- process-kill ---------------------------------------------------------------------------------------------------

SUPERVISOR = """
cat >/etc/supervisord.conf <<'END'
[unix_http_server]
file=/run/supervisor.sock
[supervisord]
logfile=/dev/null
logfile_maxbytes=0
pidfile=/run/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/supervisor.sock
[program:trader]
command=sleep 1000
startsecs=0
autorestart=true
[program:left-alone]
command=sleep 2000
startsecs=0
autorestart=false
END
mkdir -p /etc/supervisor
cp /etc/supervisord.conf /etc/supervisor/supervisord.conf
supervisord -c /etc/supervisord.conf
"""


@pytest.fixture(scope="module", params=SHELLS)
def managed(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A host with a real supervisord that runs `trader`, and `left-alone` which it does not start again."""
    require("supervisord", "supervisorctl")
    with rig(request.param) as one:
        services = {name: ServiceEntry(user="nobody", manager="supervisor") for name in ("trader", "left-alone")}
        one.host = msgspec.structs.replace(one.host, services=services)
        one.sandbox.sh(SUPERVISOR)
        eventually("pgrep -f 'sleep 1000' && pgrep -f 'sleep 2000'", one.sandbox, 10)
        yield one


def pid(host: Rig) -> int:
    """Of the trader, or 0."""
    return int(host.sandbox.sh("pgrep -f 'sleep 1000' || echo 0"))


def test_process_kill_of_a_service_that_its_manager_starts_again(managed: Rig) -> None:
    old = pid(managed)
    before = bite(managed, ProcessKill(service="trader"))
    eventually("pgrep -f 'sleep 1000'", managed.sandbox, 5)
    assert pid(managed) != old
    done = managed.revert()
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert probe.records(done.stdout)[0].value("started_by") == "manager"
    assert managed.clear().ok
    same(before, managed.sandbox)


def test_process_kill_starts_a_service_that_nobody_else_did_and_says_so(managed: Rig) -> None:
    before = bite(managed, ProcessKill(service="left-alone", rto=Duration(1)))
    done = managed.revert(patience_s=8)
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert probe.records(done.stdout)[0].value("started_by") == "stormdesk"
    assert managed.clear().ok
    same(before, managed.sandbox)


def test_process_kill_again_and_again_until_it_is_reverted(managed: Rig) -> None:
    seen = {pid(managed)}
    before = bite(managed, ProcessKill(service="trader", repeat=Duration(1)))
    until = time.monotonic() + 12
    while len(seen - {0}) < 4 and time.monotonic() < until:
        seen.add(pid(managed))
        time.sleep(0.1)
    assert len(seen - {0}) >= 4
    heal(managed, before)
    last = pid(managed)
    time.sleep(1.5)
    assert pid(managed) == last


def test_process_stop_is_lifted_by_cont(managed: Rig) -> None:
    old = pid(managed)
    before = bite(managed, ProcessKill(service="trader", signal=Signal("STOP")))
    assert "T" in managed.sandbox.sh(f"ps -o stat= -p {old}")
    heal(managed, before)
    assert pid(managed) == old
    assert "T" not in managed.sandbox.sh(f"ps -o stat= -p {old}")


def test_process_kill_by_pidfile_and_by_pattern(host: Rig) -> None:
    start = "setsid sleep 543 </dev/null >/dev/null 2>&1 & echo $!"
    before = picture(host.sandbox)
    for fault in (ProcessKill(pidfile="/run/one.pid"), ProcessKill(pattern="sleep 543", signal=Signal("TERM"))):
        victim = host.sandbox.sh(f"{start} >/run/one.pid; cat /run/one.pid").strip()
        done = host.arm(host.plan(fault))
        assert (done.code, states(done)) == (0, CONFIRMED), done.stdout
        assert not host.sandbox.script(f"kill -0 {victim} && ! grep -q '^State:.Z' /proc/{victim}/status").ok
        assert host.revert().ok
        assert host.clear().ok
        host.sandbox.sh("rm /run/one.pid")
    same(before, host.sandbox)


def test_process_names_cannot_forge_an_answer(host: Rig) -> None:
    host.sandbox.sh(
        "setsid sh -c 'sleep 400; :' \"forged\n1.1 0 init\n\033[31m\" </dev/null >/dev/null 2>&1 & sleep 0.2"
    )
    fault = ProcessKill(pattern="forged")
    plan = fault.plan(host.facts(fault), host.site(), None)
    assert "forged 1.1 0 init" in plan.change.says
    assert plan.change.says.isprintable()


def test_a_pid_that_somebody_else_has_now_is_left_alone_rule_R7(host: Rig) -> None:
    victim = host.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 & echo $!").strip()
    plan = host.plan(ProcessKill(pattern="sleep 543", signal=Signal("STOP")))
    identity = plan.change.steps[0].do[2]
    assert identity.split(".")[0] == victim
    text = msgspec.json.encode(plan).replace(identity.encode(), f"{victim}.1".encode())
    done = host.arm(msgspec.json.decode(text, type=Plan))
    assert states(done)[-1] == "ACKED"
    assert "refused the witness would prove nothing" in done.stdout
    assert "S" in host.sandbox.sh(f"ps -o stat= -p {victim}")
    assert host.revert().ok
