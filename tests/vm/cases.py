"""The list. Each case is one command that somebody types, what must be seen of it on the machine, and what is done meanwhile."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.faults import FAULTS
from tests.vm import acts
from tests.vm.acts import Act
from tests.vm.qemu import card

MARKET, MGMT, OFFICE, SPARE = (card(name).interface for name in ("market", "mgmt", "office", "spare"))
HOLD_S = 15.0
NOT_ACTIVE_AGAIN = "the port that was a bond's active one is a backup afterwards"


def netem(shows: str) -> str:
    """True while packets out of the market's interface are impaired in a way that tc calls so."""
    return f"tc qdisc show dev {MARKET} | grep -q ' netem .*{shows}'"


def down(interface: str) -> str:
    """True while an interface is down. Without a process of its own: it is asked once a second, by TCG."""
    return f"read -r flags </sys/class/net/{interface}/flags && [ $((flags & 1)) = 0 ]"


@dataclass(frozen=True)
class Case:
    """`words`: the task and its options, without host and inventory. `sees`: a condition of sh, true on the machine while the
    fault is in. `before` runs there as root ahead of the first picture, `after` when all is over and must succeed.

    `cuts`: it cuts SSH, so its time-to-live is the hold.
    `adds`: what a changed line of the picture must have in it to be an operator's, of which each must be there at the end.
    `expected` names what the product does not have yet, "" for a case that must hold.
    """

    name: str
    words: Sequence[str]
    sees: str
    before: str = ""
    after: str = "true"
    meanwhile: Act | None = None
    user: str = "ops"
    hold_s: float = HOLD_S
    cuts: bool = False
    codes: Sequence[int] = (0,)
    adds: Sequence[str] = ()
    expected: str = ""


DISK = ("chaos.disk-full", "--reserve", "1MiB")
KILL = ("chaos.process-kill", "--service", "quote")
ADAPTER = ("chaos.adapter-down", "--interface")
NETEM = (
    *(("latency", "delay"), ("loss", "loss"), ("corrupt", "corrupt")),
    *(("duplicate", "duplicate"), ("reorder", "reorder")),
)
OURS_IN_NFT = "nft list tables | grep -q ' sd_'"
RULES = (
    ("net-partition", ("--interface", MARKET)),
    ("net-reset", ("--network", "market")),
    ("mtu-blackhole", ("--network", "market")),
    ("port-block", ("--port", "8000")),
    ("dns-failure", ("--answer", "timeout")),
)
LEDGER = "/var/lib/trading/ledger"
MAKE_LEDGER = f"seq 1 500 >{LEDGER}; chown trading {LEDGER}"
FULL = "[ $(df -k --output=avail /var/lib/trading | tail -n 1) -lt 2048 ]"
RESTARTED = '[ "$(systemctl show -p NRestarts --value quote)" -gt 0 ]'
STOPPED = 'grep -q "^State:.T" /proc/$(systemctl show -p MainPID --value quote)/status'
FAILED = '[ "$(systemctl show -p ActiveState --value quote)" = failed ]'

VLAN = f"""
modprobe 8021q
ip link add link {MARKET} name {MARKET}.100 type vlan id 100
ip link set {MARKET}.100 up
ip addr add 10.100.0.10/24 dev {MARKET}.100
ip -6 addr add fd77:0:0:64::10/64 dev {MARKET}.100 nodad
sleep 2
ip route add 10.101.0.0/16 via 10.100.0.1 dev {MARKET}.100 metric 50
ip -6 route add fd77:0:0:65::/64 via fd77:0:0:64::1 dev {MARKET}.100
ip link add link {MARKET} name {MARKET}.200 type vlan id 200
ip link set {MARKET}.200 up
ip link set {MARKET}.200 down
"""
BOND = f"""
modprobe bonding max_bonds=0
ip link add bond0 type bond mode active-backup miimon 100
ip link add veth0 type veth peer name veth1
ip link set veth1 up
ip link set {SPARE} down
ip link set {SPARE} master bond0
ip link set veth0 master bond0
ip link set bond0 up
ip addr add 10.66.0.10/24 dev bond0
ip route add 10.67.0.0/16 via 10.66.0.1 dev bond0
sleep 4
"""
# One element of the set expires while the case runs.
FIREWALL = """
systemctl start nftables
nft -f - <<'RULES'
table inet firewall {
  set banned { type ipv4_addr; flags timeout; elements = { 192.0.2.1 timeout 2h } }
  chain input { type filter hook input priority 0; policy accept; ip saddr @banned counter drop; ct state established counter accept; }
  chain forward { type filter hook forward priority 0; policy drop; }
}
RULES
"""
SHORT_ELEMENT = "nft add element inet firewall banned '{ 192.0.2.2 timeout 12s }'"
LIMIT = """
mkdir -p /etc/systemd/system/quote.service.d
printf '[Unit]\\nStartLimitIntervalSec=600\\nStartLimitBurst=3\\n' >/etc/systemd/system/quote.service.d/limit.conf
systemctl daemon-reload
systemctl reset-failed quote
systemctl restart quote
"""
KILLS_SESSIONS = """
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\\nKillUserProcesses=yes\\n' >/etc/systemd/logind.conf.d/kill.conf
systemctl restart systemd-logind
"""
ACTIVE = "systemctl is-active --quiet quote"

# What an inventory says of the machine.
ABOUT = {
    "role": "trader",
    "networks": {
        "mgmt": {"interface": MGMT, "address": "10.0.2.15/24"},
        "market": {"interface": MARKET, "address": "10.77.1.10/24", "address6": "fd77:0:0:1::10/64"},
    },
    "services": {"quote": {"user": "trading", "manager": "systemd", "ports": {"http": 8000}}},
    "paths": {"data": "/var/lib/trading"},
}


def by_example(name: str) -> Case:
    """A case of a fault's own example."""
    host = {"name": "vm", "address": "10.0.2.15", "host_key": "-", "identity_file": "-", **ABOUT}
    machine = msgspec.convert(host, InventoryHost)
    example = FAULTS[name].example(Inventory(version=VERSION, environment="vm", hosts={"vm": machine}))[0]
    given = [word for key, value in example.parameters.items() for word in (f"--{key.replace('_', '-')}", value)]
    allowed = ["--allow-irreversible"] if example.irreversible else []
    return Case(
        name, (f"chaos.{name}", *given, *allowed), f"{shlex.join(example.look)} | grep -Eq {shlex.quote(example.shows)}"
    )


BY_EXAMPLE = (
    "cpu-stress", "dir-vanish", "disk-error", "disk-readonly", "disk-slow", "fd-exhaust", "fsync-lies",
    "host-freeze", "inode-full", "io-stress", "memory-stress", "ntp-block", "pid-exhaust", "process-crashloop", "process-pause",
    "service-stop",
)  # fmt: skip

CASES: Sequence[Case] = (
    Case("noop", ("chaos.noop",), "ls /run/.stormdesk-noop-*", after="[ $(stat -fc %T /sys/fs/cgroup) = cgroup2fs ]"),
    Case("adapter-down-market", (*ADAPTER, MARKET), down(MARKET), after="ping -c 1 -W 10 10.77.1.20"),
    Case("adapter-down-ssh-networkd", ("chaos.adapter-down", "--network", "mgmt"), down(MGMT), cuts=True),
    Case(
        "adapter-down-networkmanager",
        (*ADAPTER, OFFICE),
        down(OFFICE),
        after="nmcli -t dev | grep -q '^enp0s7:.*:connected:'",
    ),
    Case("adapter-down-vlan-parent", (*ADAPTER, MARKET), down(MARKET), before=VLAN),
    Case("adapter-down-bond", (*ADAPTER, "bond0"), down("bond0"), before=BOND),
    Case("adapter-down-bond-port", (*ADAPTER, SPARE), down(SPARE), before=BOND, expected=NOT_ACTIVE_AGAIN),
    Case(
        "adapter-down-firewall", (*ADAPTER, MARKET), down(MARKET), before=FIREWALL, meanwhile=acts.typed(SHORT_ELEMENT)
    ),
    Case("adapter-down-as-root", (*ADAPTER, MARKET), down(MARKET), user="root"),
    Case("disk-full", (*DISK, "--allow-no-boot-hook"), FULL),
    Case(
        "net-bandwidth",
        ("chaos.net-bandwidth", "--network", "market"),
        f"tc qdisc show dev {MARKET} root | grep -q tbf",
    ),
    *(Case(f"net-{word}", (f"chaos.net-{word}", "--network", "market"), netem(shows)) for word, shows in NETEM),
    *(Case(name, (f"chaos.{name}", *words), OURS_IN_NFT) for name, words in RULES),
    Case("adapter-flap", ("chaos.adapter-flap", "--interface", MARKET), down(MARKET), hold_s=30),
    Case(
        "port-exhaust",
        ("chaos.port-exhaust",),
        'read -r low high </proc/sys/net/ipv4/ip_local_port_range && [ "$low" = "$high" ]',
    ),
    Case(
        "file-permission",
        ("chaos.file-permission", "--path", LEDGER),
        f"[ $(stat -c %a {LEDGER}) = 0 ]",
        before=MAKE_LEDGER,
    ),
    Case(
        "file-corrupt",
        ("chaos.file-corrupt", "--path", LEDGER, "--amount", "4"),
        f"! seq 1 500 | cmp -s - {LEDGER}",
        before=MAKE_LEDGER,
        after=f"seq 1 500 | cmp - {LEDGER}",
    ),
    Case(
        "disk-slow-rate",
        ("chaos.disk-slow", "--service", "quote", "--rate", "1MiB/s"),
        "grep -q ' wbps=1048576 ' /sys/fs/cgroup/system.slice/quote.service/io.max",
        before="systemctl set-property --runtime quote IOAccounting=yes",  # else systemd hands no io down to it
        after='[ -z "$(cat /sys/fs/cgroup/system.slice/quote.service/io.max)" ]',
    ),
    Case("power-cut", ("chaos.power-cut", "--allow-irreversible"), f"! {ACTIVE}", after=ACTIVE),
    Case("process-kill", KILL, RESTARTED, after=ACTIVE),
    Case("process-stop", (*KILL, "--signal", "STOP"), STOPPED, after=ACTIVE),
    # The unit is dead at the end of the hold, so our undo starts it, which the run says: violated.
    Case(
        "process-kill-start-limit",
        (*KILL, "--repeat", "4s"),
        FAILED,
        before=LIMIT,
        hold_s=40,
        codes=(0, 1),
        after=ACTIVE,
    ),
    Case(
        "process-kill-beside-supervisord", KILL, RESTARTED, before="systemctl start supervisor; sleep 15", after=ACTIVE
    ),
    Case("colleague-logs-in-and-out", (*ADAPTER, MARKET), down(MARKET), meanwhile=acts.colleague, hold_s=40),
    Case(
        "operator-in-the-hold",
        (*ADAPTER, MARKET),
        down(MARKET),
        before="iptables -A INPUT -s 192.0.2.1 -j DROP",  # so that the chain is there already
        meanwhile=acts.typed(acts.OPERATOR),
        hold_s=25,
        adds=("192.0.2.66", "203.0.113."),
    ),
    Case("controller-killed", (*ADAPTER, MARKET), down(MARKET), meanwhile=acts.kill_controller, codes=(-9,)),
    Case(
        "kill-user-processes",
        (*ADAPTER, MARKET),
        down(MARKET),
        before=KILLS_SESSIONS,
        meanwhile=acts.kill_controller,
        hold_s=120,
        codes=(-9,),
    ),
    *(by_example(name) for name in BY_EXAMPLE),
    Case("reboot", DISK, FULL, meanwhile=acts.reboot, hold_s=240, codes=(-9,)),
    Case("hard-reset", DISK, FULL, meanwhile=acts.reset, hold_s=240, codes=(-9,)),
)


def chosen(only: Sequence[str]) -> Sequence[Case]:
    """The cases of these names, or all for none. Raises ValueError for a name that no case has."""
    known = {case.name: case for case in CASES}
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"--only {unknown[0]}: there is: {', '.join(known)}")
    return [known[name] for name in only] or CASES
