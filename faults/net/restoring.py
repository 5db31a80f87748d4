"""An interface that goes down and up: its state beforehand, and how everything on it is restored. Not a fault itself."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.host import network
from stormdesk.mechanism import interface

TOUCHES: Argv = ("link", "addr", "route4", "route6", "neigh", "nexthop")
WHAT = "link up, then restores addresses, routes and neighbours (v4 and v6)"


def probes(name: str) -> Mapping[str, Argv]:
    """The probes that `as_it_is` needs."""
    return {
        **interface.probes(name),
        # All routes: with `dev`, ip omits multipath routes.
        "route4": ("ip", "-o", "-4", "route", "show", "table", "all"),
        "route6": ("ip", "-o", "-6", "route", "show", "table", "all"),
        "neigh": ("ip", "-o", "neigh", "show", "nud", "permanent"),
        "proxy": ("ip", "-o", "neigh", "show", "proxy"),
        "links": ("ip", "-o", "link", "show"),
        "nexthop": ("ip", "-o", "nexthop", "show"),
        "gateways": ("sd_lost_gateways", name),
        "version": ("ip", "-V"),
    }


def as_it_is(name: str, facts: HostFacts, site: Site) -> network.Interface | Unsupported:
    """The interface with everything that goes down with it, or why that could not be restored. RefusedError: there is no such
    interface, or it is already down."""
    link = interface.link_of(name, facts, site)
    said = {key: answer.stdout for key, answer in facts.answers.items()}
    try:
        now = network.interface(name, _read(link, said))
    except network.MiddleError as error:
        return Unsupported(
            f"route `{error}` is between equal routes of other interfaces: it could not be restored in its place"
        )
    if not now.up:
        raise RefusedError(f"{name} on {site.host.name} is already down. Nothing was changed")
    if why := _no_way_back(now, said):
        return Unsupported(why)
    return now


def _read(link: str, said: Mapping[str, str]) -> network.Said:
    neighbours = said["neigh"] + said["proxy"]
    return network.Said(link, said["addr"], said["route4"], said["route6"], neighbours, said["links"], said["nexthop"])


def restore(now: network.Interface) -> tuple[Argv, ...]:
    """Link up, then whatever the kernel removed; nothing that is still present."""
    undo: list[Argv] = [now.up_again]
    if now.addresses6:
        undo.append(("sd_addresses_back", now.name, *now.addresses6))
    if now.nexthops:
        undo.append(("sd_nexthops_back", *now.nexthops))
    for family, routes in (("4", now.routes), ("6", now.routes6)):
        if routes:
            words = (word for route in routes for word in (route.how, route.line, route.beside, route.expires))
            undo.append(("sd_routes_back", family, *words))
    if now.neighbours:
        undo.append(("sd_neighbours_back", now.name, *now.neighbours))
    return tuple(undo)


def _no_way_back(now: network.Interface, said: Mapping[str, str]) -> str:
    """Why the interface could not be restored in full, or ""."""
    if "iproute2" not in said["version"] and (lost := _beyond_busybox(now)):
        return f"{now.name} has {lost}, which busybox's ip cannot restore: install iproute2"
    if gateway := said["gateways"].partition("\n")[0]:
        return (
            f"gateway {gateway} is no longer reachable through {now.name} (ip route get {gateway} oif {now.name}): "
            "its routes could not be restored"
        )
    return ""


def _beyond_busybox(now: network.Interface) -> str:
    """The first thing on the interface that busybox's ip cannot show in full or add, or ""."""
    if now.addresses6:
        return f"address {now.addresses6[-1].split()[0]}"
    if now.neighbours:
        return f"neighbour {now.neighbours[0]}"
    known = {"via", "dev", "src", "mtu", "scope", "proto", "table", "metric", "onlink"}
    for route in (*now.routes, *now.routes6):
        words = route.line.split()
        words = words[2:] if words[0] == "local" else words[1:]
        if route.expires or any(word.isalpha() and word not in known for word in words[::2]) or route.beside:
            return f"route {route.line}"
    return ""
