"""The output of `ip` for an interface, as the arguments that restore it. Pure: text in, values out; HostError for unreadable
output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stormdesk.core.errors import HostError
from stormdesk.core.model import Argv

LEASE_S = 30.0  # NetworkManager and systemd-networkd take three to five, a port with spanning tree adds its delay
_TYPES = {"unicast", "local", "broadcast", "multicast", "anycast", "throw", "unreachable", "prohibit", "blackhole"}
_STATES = {"linkdown", "dead", "offload", "offload_failed", "trap", "rt_trap"}  # the kernel's, no attributes
_ADDRESS_FLAGS = ("nodad", "noprefixroute", "home", "mngtmpaddr", "autojoin")


class MiddleError(ValueError):
    """A route stands between routes of other interfaces: no `ip` command could put it back there."""


@dataclass(frozen=True)
class Route:
    """A route as `ip -o route show table all` prints it, in one line with single spaces and without `expires`.

    `how` is the `ip route` command that puts it back into its place: append, or prepend. `beside` is the route that then stands
    before it, or after it when prepended; "" where any place will do. `expires` is in seconds, or "".
    """

    how: str
    line: str
    beside: str = ""
    expires: str = ""


@dataclass(frozen=True)
class Interface:
    """An interface as `ip` prints it: what going down takes away for good. IPv4 addresses stay, and so do not count.

    `leased`: it has an address with a lifetime, which whoever got it may let go of with the link, and gets anew.
    `above` are the interfaces made on it that are down: with it, the kernel puts VLANs up, whether they were so or not.
    `addresses6` and `neighbours` are arguments for `ip addr add` and `ip neigh replace`, one a line. `nexthops` are pairs, one after
    the other: arguments for `ip nexthop add`, and which members of that group may be gone meanwhile, "" for none.
    """

    name: str
    up: bool
    leased: bool
    above: tuple[str, ...]
    addresses6: tuple[str, ...]
    routes: tuple[Route, ...]
    routes6: tuple[Route, ...]
    neighbours: tuple[str, ...]
    nexthops: tuple[str, ...]

    @property
    def wait_s(self) -> float:
        """How long to wait for a network manager: it may take our addresses away again, and has its own later."""
        return LEASE_S if self.leased else 0.0

    @property
    def up_again(self) -> Argv:
        """The command that puts it up."""
        return ("sd_up_alone", self.name, *self.above) if self.above else ("ip", "link", "set", "dev", self.name, "up")

    @property
    def count(self) -> int:
        return sum(map(len, (self.addresses6, self.routes, self.routes6, self.neighbours, self.nexthops[::2])))


@dataclass(frozen=True)
class Said:
    """What `ip -o` prints: `link show dev X`, `addr show dev X`, `-4|-6 route show table all`; and of all interfaces
    `neigh show` of `nud permanent` and of `proxy`, `link show` and `nexthop show`."""

    link: str
    addresses: str
    routes: str
    routes6: str
    neighbours: str = ""
    links: str = ""
    nexthops: str = ""


def interface(name: str, said: Said) -> Interface:
    """What goes down with interface `name`. Raises MiddleError."""
    link, addresses = said.link, said.addresses
    flags = link.partition("<")[2].partition(">")[0].split(",")
    lines = [words for words in map(_words, addresses.splitlines()) if {"inet", "inet6"} & set(words)]
    if bad := next((words for words in lines if len(words) < 4), None):
        raise HostError(f"unreadable address: {' '.join(bad)!r}")
    lost, nexthops = _nexthops(said.nexthops, _along(name, said.links))
    return Interface(
        name,
        "UP" in flags,
        any("dynamic" in words for words in lines),
        _down_above(name, said.links),
        # The kernel shows, and prefers, the one that was added last.
        tuple(_address(words[3:]) for words in reversed(lines) if words[2] == "inet6" and not _of_the_kernel(words)),
        _in_place(_lines(name, lost, said.routes)),
        _appended(_lines(name, lost, said.routes6)),
        tuple(_neighbours(name, said.neighbours)),
        nexthops,
    )


def _words(line: str) -> list[str]:
    return line.replace("\\", " ").split()


def _of_the_kernel(words: Sequence[str]) -> bool:
    """Link-local, router-advertised and temporary addresses are the kernel's own to bring back."""
    return "temporary" in words or bool({"kernel_ll", "kernel_ra"} & set(words))


def _address(words: Sequence[str]) -> str:
    wanted = [words[0]]
    for key, value in pairwise(words):
        if key in ("peer", "brd", "scope", "metric", "proto", "valid_lft", "preferred_lft") and value != "forever":
            wanted += [key, value.removesuffix("sec")]
    return " ".join([*wanted, *(flag for flag in _ADDRESS_FLAGS if flag in words)])


def _neighbours(name: str, text: str) -> Iterator[str]:
    for words in map(_words, text.splitlines()):
        if ("dev", name) not in pairwise(words):
            continue
        if "proxy" in words:
            yield " ".join(["proxy", *(word for word in words if word != "proxy")])
        elif "PERMANENT" in words:
            yield " ".join([*(word for word in words if word != "PERMANENT"), "nud", "permanent"])


def _down_above(name: str, links: str) -> tuple[str, ...]:
    """The interfaces made on `name`, and on those, that are down; the upper ones last."""
    lower: dict[str, str] = {}
    down: list[str] = []
    for words in map(_words, links.splitlines()):
        if len(words) > 2 and "@" in words[1]:
            own, _, lower[own] = words[1].removesuffix(":").partition("@")
            if "UP" not in words[2].strip("<>").split(","):
                down.append(own)
    found, new = [name], [name]
    while new:
        new = [own for own, under in lower.items() if under in new and own not in found]
        found += new
    return tuple(own for own in found if own in down)


def _along(name: str, links: str) -> set[str]:
    """The interface, and those that have no carrier without it: what was made on it, what it is a port of, the other end of a veth."""
    above: dict[str, set[str]] = {}
    for words in map(_words, links.splitlines()):
        if len(words) > 1:
            own, _, lower = words[1].removesuffix(":").partition("@")
            above.setdefault(lower, set()).add(own)
            above.setdefault(own, set()).update(after for word, after in pairwise(words) if word == "master")
    found: set[str] = set()
    new = {name}
    while new:
        found |= new
        new = set().union(*(above.get(each, set()) for each in new)) - found
    return found


def _nexthops(text: str, along: set[str]) -> tuple[set[str], tuple[str, ...]]:
    """The numbers of nexthop objects that go with these interfaces, and `Interface.nexthops`; groups come last."""
    lost: set[str] = set()
    singles: list[str] = []
    groups: list[str] = []
    for words in map(_words, text.splitlines()):
        values = dict(pairwise(words))
        number = values.get("id", "")
        if members := values.get("group"):
            each = members.split("/")
            gone = [member for member in each if member.partition(",")[0] in lost]
            if gone:
                groups += [" ".join(_without("unbalanced_time", words)), "/".join(gone)]
            if len(gone) == len(each):
                lost.add(number)
        elif values.get("dev") in along:
            lost.add(number)
            singles += [" ".join(word for word in _without("scope", words) if word not in _STATES), ""]
    return lost, (*singles, *groups)


def _without(key: str, words: list[str]) -> list[str]:
    """The words less `key` and the one that follows it."""
    if key not in words:
        return words
    at = words.index(key)
    return words[:at] + words[at + 2 :]


@dataclass(frozen=True)
class _Line:
    """One route of the host: its words, whether it goes over this interface alone, and what routes of its kind share.

    `shared`: it goes over others too. It stays, unless they go down as well.
    """

    words: Argv
    lost: bool
    shared: bool
    kernel: bool
    expires: str
    group: Argv

    @property
    def text(self) -> str:
        return " ".join(self.words)


def _lines(name: str, nexthops: set[str], text: str) -> list[_Line]:
    return [_line(name, nexthops, words) for words in map(_words, text.splitlines()) if words]


def _line(name: str, nexthops: set[str], words: list[str]) -> _Line:
    over = {after for word, after in pairwise(words) if word == "dev"}
    lost, shared = over == {name}, {name} < over
    if "nhid" in words:  # it goes with its nexthop object, and a group that comes back whole brings it back whole
        lost, shared = dict(pairwise(words))["nhid"] in nexthops, False
    expires = dict(pairwise(words)).get("expires", "").removesuffix("sec")
    kept = tuple(word for word in _without("expires", words) if word not in _STATES)
    to = kept[1] if kept[0] in _TYPES and len(kept) > 1 else kept[0]
    values = dict(pairwise(kept))
    group = (to, *(values.get(key, "") for key in ("table", "tos", "metric")))
    return _Line(kept, lost, shared, values.get("proto") == "kernel", expires, group)


def _ordered(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Routes of one prefix together; those by which gateways are reached come first."""
    groups: dict[Argv, list[_Line]] = {}
    for line in lines:
        groups.setdefault(line.group, []).append(line)
    yield from sorted(
        groups.values(), key=lambda group: any("via" in line.words for line in group if line.lost or line.shared)
    )


def _appended(lines: Sequence[_Line]) -> tuple[Route, ...]:
    """IPv6: the kernel chooses among equal routes without regard to their order."""
    lost = (line for group in _ordered(lines) for line in group if (line.lost or line.shared) and not line.kernel)
    return tuple(Route("append", line.text, expires=line.expires) for line in lost)


def _in_place(lines: Sequence[_Line]) -> tuple[Route, ...]:
    """IPv4: the first of equal routes is taken. The kernel appends its own when the link comes up; where there are others of
    the same prefix, they have to be moved too."""
    found: list[Route] = []
    for group in _ordered(lines):
        found += [Route("append", line.text) for line in group if line.shared]
        lost = [number for number, line in enumerate(group) if line.lost]
        if not lost or (all(line.kernel for line in group if line.lost) and len(group) == 1):
            continue
        stays = [number for number in range(len(group)) if number not in lost]
        if any(stays[0] < number < stays[-1] for number in lost if stays):
            raise MiddleError(group[lost[0]].text)
        first = [number for number in lost if stays and number < stays[0]]
        found += [Route("prepend", group[number].text, group[number + 1].text) for number in reversed(first)]
        after = [number for number in lost if number not in first]
        found += [Route("append", group[number].text, group[number - 1].text if number else "") for number in after]
    return tuple(found)
