"""Random states of a network: `ip` commands from a seed, and a picture of what they made, read with `ip -j -d`.

The picture is written without the product's picture: facts of four words, compared one by one; lifetimes may run on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

RUNS_S = 30  # a lifetime has run on by no more than that
_LIVES = ("valid_life_time", "preferred_life_time", "expires")
_FOREVER = 2**32 - 1
_MOVING = {
    "tentative",
    "optimistic",
    "linkdown",
    "dead",
    "stats",
    "stats64",
    "cache",
    "used",
    "ifindex",
    "link_index",
    "link_netnsid",
}
_NAMES = {  # by what a thing is known
    "link": ("ifname",), "route4": ("dst", "table", "tos", "metric"), "route6": ("dst", "table", "tos", "metric"),
    "rule4": ("priority",), "rule6": ("priority",), "nexthop": ("id",), "neigh": ("dev", "dst"), "proxy4": ("dev", "dst"),
    "proxy6": ("dev", "dst"), "fdb": ("ifname", "mac", "master"),
}  # fmt: skip
FRESH = """
link del mv0
link del br0
link del eth1
link del eth2
nexthop flush
link add eth1 type veth peer name peer1
link add eth2 type veth peer name peer2
link set eth1 up
link set eth2 up
link set peer1 up
link set peer2 up
addr add 10.9.1.2/24 dev eth1
addr add 10.9.2.2/24 dev eth2
addr add fd99:1::2/64 dev eth1 nodad
addr add fd99:2::2/64 dev eth2 nodad
"""
NOWHERE = ("blackhole", "unreachable", "prohibit", "throw")
FRESH_RULES = "\n".join(
    ["rule flush", "rule add table main pref 32766", *(f"route flush table all type {kind}" for kind in NOWHERE)]
)
QUESTIONS = {
    "link": "ip -j -d link show",
    "addr": "ip -j -d addr show",
    "route4": "ip -j -d -4 route show table all",
    "route6": "ip -j -d -6 route show table all",
    "rule4": "ip -j -d -4 rule show",
    "rule6": "ip -j -d -6 rule show",
    "nexthop": "ip -j -d nexthop show",
    "neigh": "ip -j -d neigh show nud permanent",
    "proxy4": "ip -j -d -4 neigh show proxy",
    "proxy6": "ip -j -d -6 neigh show proxy",
    "fdb": "bridge -j fdb show",
}
LOOK = "\n".join(f"echo '@{kind}'; {question}" for kind, question in QUESTIONS.items())


@dataclass(frozen=True)
class Network:
    """Lines for `ip -batch`, of no family, of IPv4 and of IPv6; what the kernel refuses, as it contradicts another, is left out."""

    plain: list[str]
    four: list[str]
    six: list[str]

    @property
    def script(self) -> str:
        batches = (("", [FRESH, *self.plain]), ("-4", [FRESH_RULES, *self.four]), ("-6", [FRESH_RULES, *self.six]))
        return "".join(
            f"ip {family} -force -batch - >/dev/null 2>&1 <<'END'\n" + "\n".join(lines) + "\nEND\n:\n"
            for family, lines in batches
        )


@dataclass
class _Maker:
    rng: random.Random
    plain: list[str] = field(default_factory=list)
    four: list[str] = field(default_factory=list)
    six: list[str] = field(default_factory=list)

    def some(self, *of: Any) -> Any:
        return self.rng.choice(of)

    def maybe(self, share: float, *of: str) -> str:
        return "".join(f" {word}" for word in of if self.rng.random() < share)

    def dev(self) -> str:
        return str(self.some("eth1", "eth1", "eth1", "eth2"))

    def links(self) -> None:
        for dev in ("eth1", "eth2"):
            words = (
                "mtu 1400", "txqueuelen 77", f"alias of-{dev}", "multicast off", "arp off", "group 7", "promisc on", "allmulticast on",
            )  # fmt: skip
            self.plain += [f"link set {dev} {word}" for word in words if self.rng.random() < 0.12]
            if self.rng.random() < 0.3:
                self.plain.append(f"link property add dev {dev} altname market-{dev}")
        kind = self.some("", "", "macvlan", "bridge", "bridge of two", "both")
        if kind in ("macvlan", "both"):
            self.plain += ["link add mv0 link eth1 type macvlan mode bridge", "link set mv0 up"]
            self.plain += ["addr add 10.8.0.1/24 dev mv0", "addr add fd88::1/64 dev mv0 nodad"]
        if "bridge" in kind or kind == "both":
            self.plain += [
                "link add br0 type bridge forward_delay 0",
                f"link set {'eth1' if kind == 'bridge' else 'eth2'} master br0",
            ]
            self.plain += ["link set eth1 master br0"] * ("two" in kind)
            self.plain += ["link set br0 up", "addr add 10.7.9.1/24 dev br0", "addr add fd79::1/64 dev br0 nodad"]

    def addresses(self) -> None:
        for _ in range(self.rng.randint(1, 5)):
            dev, host = self.dev(), self.rng.randint(3, 90)
            life = self.some("", "", f" valid_lft {self.rng.randint(500, 900)} preferred_lft {self.some(0, 400)}")
            flags = self.maybe(0.3, "noprefixroute", f"metric {self.some(5, 100)}", f"proto {self.some(44, 55)}")
            more = self.maybe(
                0.3,
                f"label {dev}:x",
                f"brd 10.9.1.{self.some(255, 250)}",
                f"scope {self.some('link', 'host', 'global')}",
            )
            self.four += [
                f"addr add 10.9.{self.some(1, 1, 2, 5)}.{host}/{self.some(24, 24, 32)} dev {dev}{life}{flags}{more}",
                f"addr add 10.7.0.{host} peer 10.7.1.{host} dev {dev}{flags}",
            ]
            more = self.maybe(0.3, "home", "mngtmpaddr") + self.some(
                "", "", f" scope {self.some('link', 'site', 'host')}"
            )
            self.six += [
                f"addr add fd99:{self.some(1, 1, 2, 5)}::{host}/{self.some(64, 64, 128)} dev {dev} nodad{life}{flags}{more}",
                f"addr add fd70::{host} peer fd71::{host} dev {dev} nodad{flags}",
            ]

    def nexthops(self) -> None:
        """1 to 9 are single ones, 11 and 12 groups, of IPv4; 21 to 29 and 31 the same of IPv6."""
        if self.rng.random() < 0.5:
            return
        for base, gateway in ((0, "10.9.{}.{}"), (20, "fd99:{}::{}")):
            numbers = []
            for number in range(1, self.rng.randint(2, 5)):
                to = self.some(1, 1, 2)
                via = f"via {gateway.format(to, 200 + number)} dev eth{to}"
                words = self.some(
                    via, via, f"{via} onlink", f"dev {self.some('eth1', 'eth2', 'mv0', 'br0')}", "blackhole"
                )
                self.plain.append(f"nexthop add id {base + number} {words}{self.maybe(0.3, 'proto static')}")
                numbers.append(base + number)
            for group in (base + 11, base + 12):
                among = self.rng.sample(numbers, self.rng.randint(1, len(numbers)))
                members = "/".join(f"{number},{self.rng.randint(1, 9)}" for number in among)
                self.plain.append(f"nexthop add id {group} group {members}{self.maybe(0.3, 'proto 99')}")

    def more(self) -> str:
        """Attributes of a route that both families know."""
        return self.maybe(
            0.15, "table 77", "metric 7", "proto static", "mtu 1400", "mtu lock 1300", "advmss 1200", "rto_min 50ms", "hoplimit 9",
            "initcwnd 20", "initrwnd 30", "quickack 1", "congctl reno", "congctl lock cubic", "features ecn", "window 9000", "rtt 100ms",
            "rttvar 50ms", "ssthresh 20", "reordering 5", "fastopen_no_cookie 1",
        )  # fmt: skip

    def route4(self) -> None:
        more, some = self.more(), self.some
        to = f"route {some('append', 'append', 'prepend')} {some('default', '10.50.0.0/16', '10.51.0.0/16', '10.9.1.0/24')}"
        number = some(1, 1, 2)
        via = f"via 10.9.{number}.{self.rng.randint(200, 203)} dev eth{number}"
        hops = (1, some(1, 2), some(1, 2))[: self.rng.randint(2, 3)]
        several = " ".join(
            f"nexthop via 10.9.{each}.{self.rng.randint(200, 205)} dev eth{each} weight {self.rng.randint(1, 4)}{some('', ' onlink')}"
            for each in hops
        )
        extra = some("", "", " src 10.9.1.2", " tos 0x10", " realm 5", " scope link", " realms 3/4")
        self.four.append(
            some(
                f"{to} {via}{some('', ' onlink')}{more}{extra}",
                f"{to} dev eth{number}{more}{extra}",
                f"{to}{more} {several}",
                f"{to} nhid {some(1, 2, 3, 4, 11, 12)}{more}{extra}",
                f"route append 10.52.0.0/16 via inet6 fe80::5 dev eth{number}{more}",
                f"route add {some(*NOWHERE)} 10.{some(53, 54, 55)}.0.0/16{self.maybe(0.4, 'metric 9')}",
                f"route append {some('local', 'broadcast', 'multicast')} 10.56.0.{some(1, 2, 3)} dev eth{number}"
                f"{self.maybe(0.4, 'table 77')}",
                f"route append 10.57.0.0/16 dev {some('mv0', 'br0')}{more}",
            )
        )

    def route6(self) -> None:
        more, some = self.more(), self.some
        to = f"route append {some('default', 'fd50::/64', 'fd51::/64', 'fd52::/64', 'fd99:1::/64')}"
        number = some(1, 1, 2)
        expires = some("", "", f" expires {self.rng.randint(500, 900)}")
        ra = some("", "", " proto ra")
        gateway = f"via fd99:{number}::{self.rng.randint(200, 203)} dev eth{number}"
        hops = (1, some(1, 2), some(1, 2))[: self.rng.randint(2, 3)]
        several = " ".join(
            f"nexthop via fd99:{each}::{self.rng.randint(200, 209)} dev eth{each} weight {self.rng.randint(1, 4)}"
            for each in hops
        )
        self.six.append(
            some(
                f"{to} {gateway}{more}{ra}{expires}{some('', ' pref high', ' onlink', ' src fd99:1::2')}",
                f"{to} dev eth{number}{more}{expires} pref {some('low', 'high')}",
                f"{to}{more} {several}",
                f"{to} nhid {some(21, 22, 23, 31, 32)}{more}",
                f"route add {some(*NOWHERE)} fd{some(53, 54, 55)}::/64{self.maybe(0.4, 'metric 9')}",
                f"route append fd56::/64 from fd99:1::/64 {gateway}",
                f"route append fd57::/64 dev {some('mv0', 'br0')}{more}",
            )
        )

    def others(self) -> None:
        for _ in range(self.rng.randint(0, 3)):
            number, host = self.some(1, 1, 2), self.rng.randint(100, 120)
            router, proto = self.maybe(0.4, "router", "proto static"), self.maybe(0.3, "proto 99")
            self.four += [
                f"neigh add 10.9.{number}.{host} lladdr 02:00:00:00:00:{host % 90} dev eth{number}{proto} nud permanent",
                f"neigh add proxy 10.9.9.{host} dev eth{number}",
                self._rule(f"10.9.{number}.0/24", number, host),
            ]
            self.six += [
                f"neigh add fd99:{number}::{host} lladdr 02:00:00:00:01:{host % 90} dev eth{number}{router} nud permanent",
                f"neigh add proxy fd99:9::{host} dev eth{number}{self.maybe(0.3, 'router')}",
                self._rule(f"fd99:{number}::/64", number, host),
            ]

    def _rule(self, prefix: str, number: int, pref: int) -> str:
        port = "not ipproto tcp dport 80"
        what = self.some(
            f"iif eth{number}", f"oif eth{number}", f"from {prefix}", f"to {prefix}", "fwmark 0x5/0xff", port
        )
        does = self.some(
            "table 77",
            "table 77 suppress_prefixlength 0",
            "prohibit",
            "blackhole",
            "goto 32766",
            "lookup main realms 7",
        )
        return f"rule add {what} pref {pref} {does}"


def network(seed: int) -> Network:
    """The network of a seed."""
    maker = _Maker(random.Random(seed))
    maker.links()
    maker.addresses()
    maker.nexthops()
    for _ in range(maker.rng.randint(2, 9)):
        maker.route4()
        maker.route6()
    maker.others()
    return Network(maker.plain, maker.four, maker.six)


# ---- the picture -----------------------------------------------------------------------------------------------------

Fact = tuple[str, str, str, str]  # kind, object, attribute, value


@dataclass(frozen=True)
class Picture:
    """All facts, and the seconds that lifetimes have left, by what has them."""

    facts: frozenset[Fact]
    lives: Mapping[tuple[str, str, str], int]

    def differences(self, now: Picture) -> list[str]:
        """What is not as before: `- fact` gone, `+ fact` new, and lifetimes that are longer, or far shorter."""
        found = [f"- {' '.join(fact)}" for fact in sorted(self.facts - now.facts)]
        found += [f"+ {' '.join(fact)}" for fact in sorted(now.facts - self.facts)]
        for key in sorted(self.lives.keys() & now.lives.keys()):
            if not 0 <= self.lives[key] - now.lives[key] <= RUNS_S:
                found.append(f"lifetime of {' '.join(key)}: {self.lives[key]} s, now {now.lives[key]} s")
        return found


def picture(text: str) -> Picture:
    """From what `LOOK` prints."""
    facts: set[Fact] = set()
    lives: dict[tuple[str, str, str], int] = {}
    for part in text.split("@")[1:]:
        kind, _, said = part.partition("\n")
        for thing, item in _things(kind, [entry for entry in json.loads(said or "[]") if entry]):
            for attribute, value in _flat(item):
                runs = attribute.split(".")[-1] in _LIVES and value != str(_FOREVER)
                if runs:
                    lives[kind, thing, attribute] = int(value)
                facts.add((kind, thing, attribute, "runs" if runs else value))
    return Picture(frozenset(facts), lives)


def _things(kind: str, items: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its name. Equal names are counted where their order says which of them is taken: IPv4 routes, rules."""
    seen: dict[str, int] = {}
    if kind == "fdb":  # what a bridge learns from traffic is the kernel's; people add permanent and static ones
        items = [item for item in items if item.get("state")]
    if (
        kind == "route6"
    ):  # of equal routes of IPv6 the kernel's choice knows no order; it makes the local ones in its own time
        items = [item for item in items if (item["table"], item.get("protocol")) != ("local", "kernel")]
        items = sorted(items, key=lambda item: json.dumps(_plain(item), sort_keys=True))
    for item in items:
        if kind == "addr":
            # The kernel makes its own in its own time.
            set_by = [each for each in item["addr_info"] if not str(each.get("protocol", "")).startswith("kernel")]
            for scope in {str(each["scope"]) for each in set_by}:
                order = [str(each["local"]) for each in set_by if each["scope"] == scope]
                yield f"{item['ifname']} {scope}", {"order": " ".join(order)}
            for address in item["addr_info"]:
                yield f"{item['ifname']} {address['local']}/{address['prefixlen']}", _plain(address)
            continue
        name = " ".join(str(item.get(part, "")) for part in _NAMES[kind])
        seen[name] = seen.get(name, -1) + 1
        yield f"{name} #{seen[name]}", _plain(item)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Without what the kernel counts or settles by itself."""
    kept = {key: value for key, value in item.items() if key not in _MOVING}
    if "flags" in kept:
        kept["flags"] = sorted(str(flag) for flag in kept["flags"] if flag not in _MOVING)
    if "nexthops" in kept:
        kept["nexthops"] = [_plain(hop) for hop in kept["nexthops"]]
    return kept


def _flat(item: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(item, dict) and item:
        for key, value in item.items():
            if key.endswith("_timer"):
                continue
            yield from _flat(value, f"{name}.{key}" if name else key)
    elif isinstance(item, list) and item and isinstance(item[0], dict):
        for number, value in enumerate(item):
            yield from _flat(value, f"{name}.{number}")
    else:
        yield name, item if isinstance(item, str) else json.dumps(item)
