"""The pictures that say clean or dirty: they see one change of each kind, know whose it was, and see none where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.plan import Step
from stormdesk.core.values import Size
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.host import probe
from tests.cases.planning import changed
from tests.shell.rig import Rig, picture, rig, same
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
    "nft": (
        "nft 'add table inet theirs; add chain inet theirs c'",
        "nft add rule inet theirs c ip saddr 10.1.1.9 drop",
        "nft flush chain inet theirs c",
    ),
    "nft order": (
        "nft 'add table ip two; add chain ip two c; add rule ip two c tcp dport 1 drop; add rule ip two c tcp dport 2 drop'",
        "nft 'flush chain ip two c; add rule ip two c tcp dport 2 drop; add rule ip two c tcp dport 1 drop'",
        "nft 'flush chain ip two c; add rule ip two c tcp dport 1 drop; add rule ip two c tcp dport 2 drop'",
    ),
    "neigh": (
        "",
        "ip neigh add 10.9.1.66 lladdr 02:00:00:00:00:66 dev eth1 nud permanent",
        "ip neigh del 10.9.1.66 dev eth1",
    ),
    "neigh proxy": ("", "ip neigh add proxy 10.9.1.67 dev eth1", "ip neigh del proxy 10.9.1.67 dev eth1"),
    "nexthop": ("", "ip nexthop add id 7 dev eth1", "ip nexthop del id 7"),
    "link alias": ("", "ip link set dev peer1 alias mine", "ip link set dev peer1 alias ''"),
    "link altname": (
        "",
        "ip link property add dev peer1 altname other",
        "ip link property del dev peer1 altname other",
    ),
    "route4 twice": (
        "ip route add 10.4.0.0/16 dev eth1",
        "ip route append 10.4.0.0/16 dev eth1 src 10.9.1.2",
        "ip route del 10.4.0.0/16 dev eth1 src 10.9.1.2",
    ),
    "mount": ("mkdir /tmp/spot", "mount -t tmpfs tmpfs /tmp/spot", "umount /tmp/spot"),
    "mount options": ("", "mount -o remount,noexec /dev/shm", "mount -o remount,exec /dev/shm"),
    "sysctl": ("", "sysctl -qw net.ipv4.conf.eth1.rp_filter=1", "sysctl -qw net.ipv4.conf.eth1.rp_filter=0"),
    "sysctl v6": ("", "sysctl -qw net.ipv6.conf.eth1.accept_ra=0", "sysctl -qw net.ipv6.conf.eth1.accept_ra=1"),
    "file content": ("cp -p /etc/hosts /tmp/hosts", "echo 1.2.3.4 x >>/etc/hosts", "cat /tmp/hosts >/etc/hosts"),
    "file mode": ("", "chmod 600 /etc/passwd", "chmod 644 /etc/passwd"),
    "file owner": ("", "chown 7 /etc/resolv.conf", "chown 0 /etc/resolv.conf"),
    "file removed": ("", "mv /etc/resolv.conf /etc/r", "mv /etc/r /etc/resolv.conf"),
}
RUN = "/run/stormdesk/r-20261121-0312-k3f9"
LIB = f"rec={RUN}; sd_base=/run/stormdesk; . $rec/lib.sh; . $rec/plan.sh; "
BEFORE = "sd_picture >$rec/before; "
DURING = "sd_take_ours; sd_last=$(sd_picture)\n"
LAST = "sd_last=$(sd_picture)\n"
VERDICT = 'if sd_verify "$sd_last"; then echo CLEAN; else echo DIRTY; fi; printf "%s\\n" "$sd_judged" | cut -f 1; '
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


def kind_of(planted: str) -> str:
    """The kind of the facts: what iptables makes here is nft's."""
    name = planted.partition(" ")[0]
    return "nft" if name.endswith("tables") else name


def told(host: Rig, script: str) -> list[list[str]]:
    """What the verdicts of a script said: for each CLEAN or DIRTY the lines up to the next."""
    done = host.sandbox.script(f"{LIB}\n{script}\nrm -f $rec/before $rec/ours $rec/side; :")
    assert (done.code, done.stderr) == (0, "")
    found: list[list[str]] = []
    for line in done.stdout.splitlines():
        if line in ("CLEAN", "DIRTY"):
            found.append([])
        if line:
            found[-1].append(line)
    return found


SIDE_EFFECTS = (
    "link",
    "route4",
    "iptables order",
    "mount",
    "sysctl",
    "file content",
)  # what the plan does not say it touches


@pytest.mark.parametrize(
    ("kind", "touches"), [*((kind, "ours") for kind in PLANTED), *((kind, "side effect") for kind in SIDE_EFFECTS)]
)
def test_a_change_by_the_fault_is_dirty_until_it_is_undone(armed: Rig, kind: str, touches: str) -> None:
    _, plant, remove = PLANTED[kind]
    name = kind_of(kind)
    words = (
        f"SD_TOUCHES={name if touches == 'ours' else ''}\n{BEFORE}\n({plant})\n{DURING}{VERDICT}\n({remove})\n{VERDICT}"
    )
    dirty, clean = told(armed, words)
    assert dirty[0] == "DIRTY"
    assert any(line.split()[0] == "left" and line.split()[2] == name for line in dirty[1:])
    assert clean == ["CLEAN"]


@pytest.mark.parametrize("kind", PLANTED)
def test_case_C26_a_change_by_others_is_kept_and_named(armed: Rig, kind: str) -> None:
    """By an operator in the hold, in the kind that the fault touches as well; and no less when he undoes it before we do ours."""
    _, plant, remove = PLANTED[kind]
    name = kind_of(kind)
    words = f"SD_TOUCHES={name}\n{BEFORE}{DURING}({plant})\n{LAST}{VERDICT}\n({remove})\n{LAST}{VERDICT}"
    kept, gone = told(armed, words)
    assert kept[0] == "CLEAN"
    assert all(line.startswith("others ") for line in kept[1:])
    assert any(line.split()[2] == name for line in kept[1:]) or "order" in kind
    assert gone == ["CLEAN"]


@pytest.mark.parametrize(
    "kind", [kind for kind in PLANTED if "order" not in kind and kind not in ("route4", "file removed")]
)
def test_an_undo_that_takes_away_what_was_there_all_the_time_is_dirty(armed: Rig, kind: str) -> None:
    _, plant, remove = PLANTED[kind]
    name = kind_of(kind)
    words = f"SD_TOUCHES={name}\n({plant})\n{BEFORE}sd_take_ours\nsd_last=$(sd_picture)\n({remove})\n{VERDICT}"
    (found,) = told(armed, words)
    assert found[0] == "DIRTY"


def test_what_one_process_cannot_read_with_the_others_is_read_alone(armed: Rig) -> None:
    """A host without IPv6, or with an ip that knows no batch: the same facts."""
    slow = "ip() { case $* in *' -b '*) return 1 ;; *) command ip \"$@\" ;; esac; }\n"
    texts = [armed.sandbox.sh(f"{LIB}{more}sd_picture | sort") for more in ("", slow)]
    assert texts[0] == texts[1]


def test_a_manager_that_does_not_answer_delays_nothing() -> None:
    """What it started is seen without it."""
    require("supervisord")
    with rig() as host:
        host.sandbox.sh(SUPERVISOR)
        eventually("supervisorctl status idle | grep -q RUNNING", host.sandbox, 10)
        plan = changed(host.plan(DiskFull(size=Size("4MiB"))), services=("supervisor idle",))
        host.sandbox.sh("kill -STOP $(cat /run/supervisord.pid)")
        assert host.arm(plan).ok
        assert "service idle runs" in host.sandbox.sh(f"cat {RUN}/before").splitlines()
        assert host.revert().ok
        host.sandbox.sh("kill -CONT $(cat /run/supervisord.pid)")


def test_how_many_processes_a_service_has_is_no_state(armed: Rig) -> None:
    """PostgreSQL's backends lead groups of their own, and come and go."""
    start = "SUPERVISOR_PROCESS_NAME=db SUPERVISOR_GROUP_NAME=db setsid sleep 777 </dev/null >/dev/null 2>&1 &\n"
    services = "SD_SERVICES='supervisor db'\n"
    words = f"{services}{start}sleep 0.2\n{BEFORE}{start}sleep 0.2\n{DURING}{VERDICT}pkill -n -f 'sleep 777'\nsleep 0.2\n{VERDICT}"
    gone = f"pkill -f 'sleep 777'\nsleep 0.2\n{VERDICT}"
    assert told(armed, words + gone) == [["CLEAN"], ["CLEAN"], ["CLEAN", "others - service db runs"]]


def test_a_service_that_the_fault_stopped_is_dirty() -> None:
    require("supervisord")
    with rig() as host:
        host.sandbox.sh(SUPERVISOR)
        eventually("supervisorctl status idle | grep -q RUNNING", host.sandbox, 10)
        plan = host.plan(DiskFull(size=Size("4MiB")))
        stop = Step(("supervisorctl", "stop", "idle"), ())
        assert host.arm(changed(plan, services=("supervisor idle",), steps=(stop, *plan.change.steps))).ok
        done = host.revert(patience_s=0)
        assert (done.code, probe.delta(done.stdout).left) == (14, ("- service idle runs",))
        host.sandbox.sh("supervisorctl start idle")
        done = host.revert()
        assert done.ok
        assert "+ service idle runs" in probe.delta(done.stdout).back


def test_a_read_that_fails_is_never_taken_for_clean(armed: Rig) -> None:
    """A tool that stops working is not the same as nothing to see."""
    tc = "$(readlink -f $(command -v tc))"
    words = f"{BEFORE}{DURING}mount --bind /bin/false {tc}\n{VERDICT}umount {tc}\n{VERDICT}"
    assert told(armed, words) == [["DIRTY", "left + qdisc !error tc qdisc show 1"], ["CLEAN"]]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("sd_netfilter() { exit 2; }", "host !error broke off"),  # as a shell that cannot start a process
        ("head() { return 137; }", "sysctl !error head"),
        ("awk() { head -n 40 >/dev/null; return 2; }", "host !error awk"),
    ],
)
def test_a_picture_that_breaks_off_is_never_taken_for_clean(armed: Rig, broken: str, said: str) -> None:
    """What it does not show is not gone: the route is still there."""
    plant = "ip route add 10.5.0.0/16 dev eth1; sysctl -qw net.ipv4.conf.eth1.rp_filter=1\n"
    remove = "ip route del 10.5.0.0/16 dev eth1; sysctl -qw net.ipv4.conf.eth1.rp_filter=0\n"
    words = f"SD_TOUCHES='route4\nsysctl'\n{BEFORE}\n{plant}{DURING}{broken}\n{VERDICT}unset -f {broken.partition('(')[0]}\n{remove}"
    words += f". $rec/lib.sh; SD_TOUCHES='route4\nsysctl'\n{VERDICT}"
    assert told(armed, words) == [["DIRTY", f"left + {said}"], ["CLEAN"]]


def test_an_idle_host_looks_the_same_twenty_times(armed: Rig) -> None:
    times = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"
    lines = armed.sandbox.sh(f"{LIB} {times}; do sd_picture | sha256sum; done").splitlines()
    assert (len(lines), len(set(lines))) == (20, 1)
    kinds = [line.split()[0] for line in armed.sandbox.sh(f"{LIB} sd_picture").splitlines()]
    assert {"class", "filter", "nexthop", "neigh", *kinds} >= {kind_of(kind) for kind in PLANTED}
    assert len(kinds) > 200


def test_traffic_and_time_are_no_change(armed: Rig) -> None:
    """Counters, lifetimes, the neighbour cache, tables that a tool makes by looking, and small files come and go."""
    words = (
        "ip neigh add 10.9.1.50 lladdr 02:00:00:00:00:01 dev eth1 nud stale\n"
        "ping -c 2 -i 0.2 -W 1 10.9.1.2 >/dev/null; head -c 3145728 /dev/zero >/var/lib/trading/new\n"
        "iptables -t nat -S >/dev/null; iptables -t mangle -S >/dev/null; nft add table inet empty\n"
        "mkdir -p /run/user/1000; mount -t tmpfs tmpfs /run/user/1000\n"
    )
    undo = "ip neigh flush all; rm /var/lib/trading/new; nft delete table inet empty; umount /run/user/1000; rmdir /run/user/1000\n"
    assert told(armed, f"{BEFORE}{DURING}{words}{VERDICT}{undo}") == [["CLEAN"]]


MOST_MS = 20  # of processor time, on a host with a firewall and supervised services
QUIET_MS = 1.1  # what one `ip link` takes on a quiet machine; beside other work everything takes more
MOST_FORKS = 11


def test_a_picture_costs_little() -> None:
    require("iptables", "nft", "supervisord")
    with rig() as host:
        host.sandbox.sh(SUPERVISOR + "iptables -A INPUT -s 10.1.1.1")
        assert host.arm(host.plan(DiskFull(size=Size("4MiB"))), inject=False).ok
        looks = min(spent(host, "sd_picture", 30) for _ in range(3))
        slow = max(1.0, spent(host, "ip -o link show", 200) / QUIET_MS)
        assert looks <= MOST_MS * slow
        assert forks(host, "sd_picture") <= MOST_FORKS
        assert host.revert().ok


def spent(host: Rig, command: str, times: int) -> float:
    """Milliseconds of processor time that a command takes on the host, the shell's own included."""
    loop = f"i=0; while [ $i -lt {times} ]; do {command} >/dev/null; i=$((i + 1)); done; times"
    words = host.sandbox.sh(f"{LIB}SD_SERVICES='supervisor idle'\n{loop}").split()
    parts = [word.rstrip("s").split("m") for word in words]
    return 1000 / times * sum(60 * float(minutes) + float(seconds) for minutes, seconds in parts)


def forks(host: Rig, command: str) -> int:
    """How many processes a command starts on the host: by their numbers, which nobody else takes there."""
    said = host.sandbox.sh(
        f"{LIB}SD_SERVICES='supervisor idle'\n: & first=$!; {command} >/dev/null; : & echo $(($! - first - 1))"
    )
    return int(said)
