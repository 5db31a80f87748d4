"""What an operator does on a lab host around a hold: how it is done, how one sees that it was kept, and how it is taken back.

All of it is shell, run in the host's namespaces and not through the product. `n` makes each act's names and addresses its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

BEFORE, DURING, AROUND = "before", "during", "around the revert"


@dataclass(frozen=True)
class Act:
    """One thing that an operator does. `kept` succeeds while it is as he left it; `back` takes it away again. Of two steps, the
    first is done before the hold."""

    name: str
    do: str
    kept: str
    back: str
    first: str = ""


def _address(n: int) -> str:
    return f"198.18.{n // 250}.{n % 250 + 1}"


def route(n: int) -> Act:
    to = f"{_address(n)}/32 dev eth0 metric 5"
    return Act(
        "route added", f"ip route add {to}", f"ip route show {_address(n)} | grep -q 'metric 5'", f"ip route del {to}"
    )


def route6(n: int) -> Act:
    to = f"fd18::{n:x}/128 dev eth0 metric 5"
    return Act(
        "v6 route added",
        f"ip -6 route add {to}",
        f"ip -6 route show fd18::{n:x} | grep -q 'metric 5'",
        f"ip -6 route del {to}",
    )


def route_gone(n: int) -> Act:
    to = f"{_address(n)}/32 dev eth0 metric 6"
    return Act(
        "route deleted",
        f"ip route del {to}",
        f"! ip route show {_address(n)} | grep -q 'metric 6'",
        ":",
        f"ip route add {to}",
    )


def address(n: int) -> Act:
    own = f"{_address(n)}/32 dev eth1"
    return Act(
        "address added",
        f"ip addr add {own}",
        f"ip -o addr show dev eth1 | grep -q ' {_address(n)}/32 '",
        f"ip addr del {own}",
    )


def address_gone(n: int) -> Act:
    own = f"{_address(n)}/32 dev eth1"
    gone = f"! ip -o addr show dev eth1 | grep -q ' {_address(n)}/32 '"
    return Act("address deleted", f"ip addr del {own}", gone, ":", f"ip addr add {own}")


def address6(n: int) -> Act:
    own = f"fd18::1:{n:x}/128 dev eth0"
    return Act(
        "v6 address added",
        f"ip addr add {own} nodad",
        f"ip -o addr show dev eth0 | grep -q ' fd18::1:{n:x}/128 '",
        f"ip addr del {own}",
    )


def rule(n: int) -> Act:
    words = f"from {_address(n)} table 99 pref {20000 + n}"
    return Act("rule added", f"ip rule add {words}", f"ip rule show | grep -q '^{20000 + n}:'", f"ip rule del {words}")


def rule_gone(n: int) -> Act:
    words = f"from {_address(n)} table 99 pref {20000 + n}"
    return Act(
        "rule deleted", f"ip rule del {words}", f"! ip rule show | grep -q '^{20000 + n}:'", ":", f"ip rule add {words}"
    )


def neighbour(n: int) -> Act:
    words = f"{_address(n)} dev eth0 lladdr 02:00:00:00:00:77 nud permanent"
    seen = f"ip neigh show nud permanent | grep -q '^{_address(n)} '"
    return Act("neighbour added", f"ip neigh add {words}", seen, f"ip neigh del {_address(n)} dev eth0")


def mount(n: int) -> Act:
    at = f"/mnt/op-{n}"
    return Act(
        "mount",
        f"mkdir -p {at} && mount -t tmpfs op {at}",
        f"grep -q ' {at} ' /proc/mounts",
        f"umount {at}; rmdir {at}",
    )


def umount(n: int) -> Act:
    at = f"/mnt/op-{n}"
    return Act(
        "umount",
        f"umount {at}",
        f"! grep -q ' {at} ' /proc/mounts",
        f"rmdir {at}",
        f"mkdir -p {at} && mount -t tmpfs op {at}",
    )


def hosts(n: int) -> Act:
    return Act(
        "line in /etc/hosts",
        f"sed -i '$ a {_address(n)} op-{n}' /etc/hosts",
        f"grep -q ' op-{n}$' /etc/hosts",
        f"sed -i '/ op-{n}$/d' /etc/hosts",
    )


def drop(n: int) -> Act:
    words = f"INPUT -s {_address(n)} -j DROP"
    return Act(
        "iptables rule added", f"iptables -w 5 -I {words}", f"iptables -w 5 -C {words}", f"iptables -w 5 -D {words}"
    )


def drop_gone(n: int) -> Act:
    words = f"INPUT -s {_address(n)} -j DROP"
    gone = f"! iptables -w 5 -C {words} 2>/dev/null"
    return Act("iptables rule deleted", f"iptables -w 5 -D {words}", gone, ":", f"iptables -w 5 -I {words}")


def drop_and_gone(n: int) -> Act:
    words = f"POSTROUTING -s {_address(n)} -j ACCEPT"
    nat = "iptables -w 5 -t nat"
    return Act(
        "nat rule added and deleted", f"{nat} -A {words} && {nat} -D {words}", f"! {nat} -C {words} 2>/dev/null", ":"
    )


def chain6(n: int) -> Act:
    return Act(
        "ip6tables chain", f"ip6tables -w 5 -N op{n}", f"ip6tables -w 5 -S op{n} >/dev/null", f"ip6tables -w 5 -X op{n}"
    )


def nft(n: int) -> Act:
    have = "command -v nft >/dev/null || exit 0; "
    return Act(
        "nft table",
        f"{have}nft add table inet op{n}",
        f"{have}nft list table inet op{n} >/dev/null",
        f"{have}nft delete table inet op{n}",
    )


def stop(_: int) -> Act:
    name = "orchestrator"
    return Act(
        "service stopped",
        f"supervisorctl stop {name}",
        f"supervisorctl status {name} | grep -q STOPPED",
        f"supervisorctl start {name}",
    )


def restart(_: int) -> Act:
    name = "orchestrator"
    return Act(
        "service restarted", f"supervisorctl restart {name}", f"supervisorctl status {name} | grep -q RUNNING", ":"
    )


def sysctl(n: int) -> Act:
    at = "/proc/sys/net/ipv4/neigh/eth0/gc_stale_time"
    return Act("sysctl", f"echo {100 + n} >{at}", f"[ $(cat {at}) = {100 + n} ]", f"echo 60 >{at}")


def queue(n: int) -> Act:
    seen = f"ip link show eth1 | grep -q 'qlen {2000 + n}'"
    return Act("queue length", f"ip link set eth1 txqueuelen {2000 + n}", seen, "ip link set eth1 txqueuelen 1000")


def mtu(_: int) -> Act:
    return Act(
        "mtu", "ip link set eth0 mtu 1450", "ip link show eth0 | grep -q 'mtu 1450'", "ip link set eth0 mtu 1500"
    )


def log_in(_: int) -> Act:
    """Another log-in, which leaves a mount as pam_systemd does."""
    at = "/run/user/1000"
    return Act(
        "log-in",
        f"mkdir -p {at} && mount -t tmpfs user {at}",
        f"grep -q ' {at} ' /proc/mounts",
        f"umount {at}; rmdir -p {at} 2>/dev/null; :",
    )


ACTS: tuple[Callable[[int], Act], ...] = (
    route, route6, route_gone, address, address_gone, address6, rule, rule_gone, neighbour, mount, umount, hosts, drop, drop_gone,
    drop_and_gone, chain6, nft, stop, restart, sysctl, queue, mtu, log_in,
)  # fmt: skip


def shift(rng: Random, hold: int) -> list[tuple[str, Act]]:
    """What the operator does in one hold, and when."""
    chosen = rng.sample(ACTS, rng.randint(2, 4))
    if stop in chosen and restart in chosen:
        chosen.remove(restart)
    return [
        (rng.choice((BEFORE, DURING, DURING, AROUND)), make(10 * hold + number)) for number, make in enumerate(chosen)
    ]
