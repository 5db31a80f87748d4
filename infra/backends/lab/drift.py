"""How a running lab differs from its declaration, as readable text, and the commands that repair it. Pure.

`OBSERVE`, or one half of it, runs inside a host (or the fabric); `parse` reads its output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormdesk.host.scripts import probe
from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec

_SHOW = """\
show() { printf '@%s\\n' "$1"; shift; "$@" 2>/dev/null; }
"""
_HOST = """\
show addr ip -j addr show
show route4 ip -j -4 route show
show route6 ip -j -6 route show
show qdisc tc -j qdisc show
show rule iptables-save
show rule6 ip6tables-save
show table nft list tables
show mount cut -d ' ' -f 5 /proc/self/mountinfo
"""
_SUPERVISED = f"""\
supervised() (
{probe("supervised")[2]}
)
[ ! -S /run/supervisor.sock ] || show service supervised
"""
_SERVICES = (
    _SUPERVISED
    + """\
units() {
  timeout 10 systemctl list-units --type=service --all --plain --no-legend |
    sed 's/\\.service  *[^ ]* *[^ ]* */ /; s/ running / RUNNING /'
}
[ ! -d /run/systemd/system ] || show service units
:
"""
)
OBSERVE_HOST, OBSERVE_SERVICES, OBSERVE = _SHOW + _HOST, _SHOW + _SERVICES, _SHOW + _HOST + _SERVICES
_COMPAT = ("filter", "nat", "mangle", "raw", "security")  # iptables keeps its rules in nft tables of these names
_TABLES = ("iptables", "ip6tables")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The observed state of a host, or of the fabric."""

    up: Mapping[str, bool]
    addresses: Mapping[str, Sequence[str]]
    routes: Sequence[tuple[str, str]]
    qdiscs: Sequence[tuple[str, str]]
    rules: Sequence[str]
    tables: Sequence[str]
    mounts: Sequence[str]
    services: Mapping[str, str]


def parse(text: str) -> Seen:
    """Parse the output of OBSERVE."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            lines = sections.setdefault(line[1:], [])
        elif line.strip():
            lines.append(line)
    links = _json(sections, "addr")
    routes = [*_json(sections, "route4"), *_json(sections, "route6")]
    services = (line.split() for line in sections.get("service", ()))
    return Seen(
        up={link["ifname"]: "UP" in link["flags"] for link in links},
        addresses={
            link["ifname"]: [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a.get("scope") == "global"]
            for link in links
        },
        routes=[(route["dst"], route["gateway"]) for route in routes if "gateway" in route],
        qdiscs=[(q["dev"], q["kind"]) for q in _json(sections, "qdisc") if q["kind"] not in ("noqueue", "pfifo_fast")],
        rules=[
            rule
            for name, tool in (("rule", "iptables"), ("rule6", "ip6tables"))
            for rule in _rules(sections, name, tool)
        ],
        tables=[line for line in sections.get("table", ()) if line.split()[-1] not in _COMPAT],
        mounts=sections.get("mount", []),
        services={words[0]: words[1] for words in services if len(words) > 1},
    )


def of_host(spec: HostSpec, seen: Seen) -> Sequence[str]:
    """A host's differences from its declaration, apart from services; empty if there are none."""
    found = []
    for link in spec.links:
        if not seen.up.get(link.interface, False):
            found.append(f"{link.interface} is down" if link.interface in seen.up else f"{link.interface} is not there")
        have = seen.addresses.get(link.interface, ())
        found += [f"{link.interface} has no {a}" for a in (link.address, link.address6) if a not in have]
    found += [f"no route to {r.to} via {r.via}" for r in spec.routes if (r.to, r.via) not in seen.routes]
    found += [f"qdisc {kind} on {device}" for device, kind in seen.qdiscs]
    found += [*seen.rules, *seen.tables]
    if spec.volume and spec.volume.path not in seen.mounts:
        found.append(f"{spec.volume.path} is not mounted")
    return found


def of_service(name: str, seen: Seen) -> Sequence[str]:
    """A service's differences from its declaration; empty if it runs."""
    state = seen.services.get(name, "unknown to the supervisor")
    return [] if state == "RUNNING" else [f"not running: {state}"]


def of_network(bridge: BridgeSpec, seen: Seen) -> Sequence[str]:
    """A network's differences from its declaration; `seen` is the fabric."""
    if bridge.name not in seen.up:
        return ["not there"]
    missing = [f"no {a}" for a in bridge.addresses if a not in seen.addresses.get(bridge.name, ())]
    return [*([] if seen.up[bridge.name] else ["down"]), *missing]


def mend_host(spec: HostSpec, seen: Seen) -> Sequence[tuple[str, ...]]:
    """Commands that restore a running host's network to its declaration; each is idempotent."""
    commands: list[tuple[str, ...]] = []
    for device, kind in seen.qdiscs:
        commands.append(("tc", "qdisc", "del", "dev", device, kind if kind in ("ingress", "clsact") else "root"))
    for tool in _TABLES if seen.rules else ():
        for table in ("filter", "nat", "mangle", "raw"):
            commands += [(tool, "-t", table, "-F"), (tool, "-t", table, "-X")]
        commands += [(tool, "-P", chain, "ACCEPT") for chain in ("INPUT", "FORWARD", "OUTPUT")]
    commands += [("nft", "delete", *table.split()) for table in seen.tables]
    for link in spec.links:
        commands.append(("ip", "link", "set", link.interface, "up"))
        commands.append(("ip", "addr", "replace", link.address, "brd", "+", "dev", link.interface))
        commands.append(("ip", "addr", "replace", link.address6, "dev", link.interface, "nodad"))
    commands += [("ip", "route", "replace", route.to, "via", route.via) for route in spec.routes]
    return commands


def _json(sections: Mapping[str, Sequence[str]], name: str) -> Any:
    return json.loads("".join(sections.get(name, ())) or "[]")


def _rules(sections: Mapping[str, Sequence[str]], name: str, tool: str) -> Sequence[str]:
    """Rules, and chains whose policy is not to accept."""
    lines = sections.get(name, ())
    rules = [line for line in lines if line.startswith("-A ")]
    return [f"{tool} {line}" for line in (*rules, *(p for p in lines if p.startswith(":") and p.split()[1] == "DROP"))]
