"""Forty leftovers of ours: faults whose undo is broken on purpose. A run must never say of one of them that the host is clean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Leftover:
    """`do` is the change, which no undo follows; `touches` the kinds that it says it changes, `files` the files; `first` prepares
    the host. After `CLEAN` and `first` the host is as before the change."""

    name: str
    touches: tuple[str, ...]
    do: str
    first: str = ":"
    files: tuple[str, ...] = ()


V4, V6, DATA = "198.18.99.1", "fd18:99::1", "/var/lib/trading/left"
# A revert that puts back what is missing may have put the lost one beside the changed one: all of a kind go.
CLEAN = f"""
{{
none() {{ while "$@"; do :; done; }}
none ip route del {V4}; none ip route del {V4} table 77; none ip route del blackhole {V4}; none ip -6 route del {V6}
for pref in 998 999; do none ip rule del pref $pref; none ip -6 rule del pref $pref; done
ip addr del {V4}/32 dev eth1; ip addr del {V6}/128 dev eth1
ip link set eth1 mtu 1500 txqueuelen 1000 promisc off; ip link set eth1 alias ''
ip link del spare0; ip link del spare2
ip neigh del {V4} dev eth1; ip neigh del proxy {V4} dev eth1
tc qdisc del dev eth1 root; tc qdisc del dev eth1 ingress
none iptables -w 5 -D INPUT -s {V4} -j DROP; none ip6tables -w 5 -D INPUT -s {V6} -j DROP
iptables -w 5 -X LEFT; iptables -w 5 -P FORWARD ACCEPT
none umount /mnt
echo 60 >/proc/sys/net/ipv4/neigh/eth1/gc_stale_time; echo 64 >/proc/sys/net/ipv6/conf/eth1/hop_limit
rm -f {DATA}
supervisorctl status orchestrator | grep -q RUNNING || supervisorctl start orchestrator >/dev/null
}} 2>/dev/null
:
"""
# With addresses of their own: one that is made again after a repair must be the same.
SPARE = """ip link add spare0 address 02:00:00:00:99:00 type veth peer name spare1 address 02:00:00:00:99:01
ip link set spare1 up; ip link set spare0 up"""
HTB = "tc qdisc add dev eth1 root handle 5d01: htb; tc class add dev eth1 parent 5d01: classid 5d01:1 htb rate 1mbit"
STEPS = (
    Leftover("route left", ("route4",), f"ip route add {V4} dev eth1"),
    Leftover("v6 route left", ("route6",), f"ip -6 route add {V6} dev eth1"),
    Leftover("blackhole left", ("route4",), f"ip route add blackhole {V4}"),
    Leftover("route lost", ("route4",), f"ip route del {V4} dev eth1", f"ip route add {V4} dev eth1"),
    Leftover("v6 route lost", ("route6",), f"ip -6 route del {V6} dev eth1", f"ip -6 route add {V6} dev eth1"),
    Leftover(
        "metric lost",
        ("route4",),
        f"ip route del {V4}; ip route add {V4} dev eth1",
        f"ip route add {V4} dev eth1 metric 7",
    ),
    Leftover("route in another table left", ("route4",), f"ip route add {V4} dev eth1 table 77"),
    Leftover("rule left", ("rule4",), f"ip rule add from {V4} table 99 pref 999"),
    Leftover("v6 rule left", ("rule6",), f"ip -6 rule add from {V6} table 99 pref 999"),
    Leftover(
        "rule lost", ("rule4",), f"ip rule del from {V4} table 99 pref 998", f"ip rule add from {V4} table 99 pref 998"
    ),
    Leftover("address left", ("addr", "route4"), f"ip addr add {V4}/32 dev eth1"),
    Leftover("v6 address left", ("addr", "route6"), f"ip addr add {V6}/128 dev eth1 nodad"),
    Leftover("address lost", ("addr", "route4"), f"ip addr del {V4}/32 dev eth1", f"ip addr add {V4}/32 dev eth1"),
    Leftover(
        "v6 address lost", ("addr", "route6"), f"ip addr del {V6}/128 dev eth1", f"ip addr add {V6}/128 dev eth1 nodad"
    ),
    Leftover("mtu left", ("link",), "ip link set eth1 mtu 1300"),
    Leftover("queue length left", ("link",), "ip link set eth1 txqueuelen 7"),
    Leftover("alias left", ("link",), "ip link set eth1 alias broken"),
    Leftover("flag left", ("link",), "ip link set eth1 promisc on"),
    Leftover("link left down", ("link", "addr", "route4", "route6", "neigh"), "ip link set spare0 down", SPARE),
    Leftover("interface left", ("link", "addr", "route6"), "ip link add spare2 type veth peer name spare3"),
    Leftover("neighbour left", ("neigh",), f"ip neigh add {V4} lladdr 02:00:00:00:00:01 dev eth1 nud permanent"),
    Leftover("proxy left", ("neigh",), f"ip neigh add proxy {V4} dev eth1"),
    Leftover(
        "qdisc left",
        ("qdisc", "link"),
        "tc qdisc add dev eth1 root handle 5d00: tbf rate 1mbit burst 3200 latency 200ms",
    ),
    Leftover("class left", ("qdisc", "class", "link"), HTB),
    Leftover("ingress left", ("qdisc", "filter"), "tc qdisc add dev eth1 handle ffff: ingress"),
    Leftover("iptables rule left", ("iptables",), f"iptables -w 5 -A INPUT -s {V4} -j DROP"),
    Leftover("iptables chain left", ("iptables",), "iptables -w 5 -N LEFT"),
    Leftover("policy left", ("iptables",), "iptables -w 5 -P FORWARD DROP"),
    Leftover(
        "iptables rule lost",
        ("iptables",),
        f"iptables -w 5 -D INPUT -s {V4} -j DROP",
        f"iptables -w 5 -A INPUT -s {V4} -j DROP",
    ),
    Leftover("ip6tables rule left", ("ip6tables",), f"ip6tables -w 5 -A INPUT -s {V6} -j DROP"),
    Leftover("mount left", ("mount",), "mount -t tmpfs left /mnt"),
    Leftover("mount lost", ("mount",), "umount /mnt", "mount -t tmpfs left /mnt"),
    Leftover("mount left read-only", ("mount",), "mount -o remount,ro /mnt", "mount -t tmpfs left /mnt"),
    Leftover("sysctl left", ("sysctl",), "echo 77 >/proc/sys/net/ipv4/neigh/eth1/gc_stale_time"),
    Leftover("v6 sysctl left", ("sysctl",), "echo 7 >/proc/sys/net/ipv6/conf/eth1/hop_limit"),
    Leftover("file left", (), f"echo left >{DATA}", files=(DATA,)),
    Leftover("file lost", (), f"rm {DATA}", f"echo mine >{DATA}", files=(DATA,)),
    Leftover("file changed", (), f"echo more >>{DATA}", f"echo mine >{DATA}", files=(DATA,)),
    Leftover("mode left", (), f"chmod 600 {DATA}", f"echo mine >{DATA}; chmod 644 {DATA}", files=(DATA,)),
    Leftover("service left stopped", ("service",), "supervisorctl stop orchestrator"),
)
