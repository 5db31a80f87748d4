"""What must be as before on the machine, by means of its own: a script that shares nothing with the product. Pure.

Left out is what runs on by itself: counters, lifetimes, learned neighbours, log-ins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Each section begins with `@ name`. JSON where the tool has it, else lines.
SCRIPT = r"""
say() { echo "@ $1"; shift; "$@" 2>&1; }
say link ip -j -d link show
say address ip -j address show
say route4 ip -j -4 route show table all
say route6 ip -j -6 route show table all
say rule4 ip -j -4 rule show
say rule6 ip -j -6 rule show
say neighbour ip -j neigh show nud permanent
say proxy ip -j neigh show proxy
say nexthop ip -j nexthop show
say qdisc tc -j qdisc show
say nft nft -j list ruleset
say iptables iptables-save
say ip6tables ip6tables-save
say mount findmnt --json --list -o TARGET,SOURCE,FSTYPE,OPTIONS
say sysctl sysctl -a --pattern '^net\.ipv[46]\.(conf|neigh)|^net.core|^vm|^fs.file-max'
say file find /var/lib/trading /etc /var/spool/cron -xdev -printf '%y %m %U:%G %b %l %p\n'
say unit systemctl show -p Id,ActiveState,SubState,UnitFileState quote book cron ssh nftables NetworkManager systemd-networkd
say hosts cat /etc/hosts /etc/resolv.conf /etc/passwd
say cgroup find /sys/fs/cgroup -maxdepth 2 -iname '*stormdesk*'
say leftover systemctl list-units --all --plain --no-legend '*stormdesk*'
say stopped sh -c 'grep -sl "^State:.T" /proc/[0-9]*/status'
say process sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " " | grep -ao "[/]run/stormdesk[^ ]*"; true'
"""
RUNNING_ON = frozenset(
    ("valid_life_time", "preferred_life_time", "expires", "used", "refcnt", "handle", "packets", "bytes", "metainfo",
     "tentative", "dadfailed", "promiscuity", "allmulti", "hello_timer", "timer", "link_index", "ifindex", "nhid",
     "link_failure_count")
)  # fmt: skip
UNORDERED = frozenset(("address", "route6", "neighbour", "proxy", "mount", "sysctl", "file", "link"))
NOT_LINES = re.compile(
    r"^#|^sysctl: |net\.netfilter\.nf_conntrack|random|vm\.(compact_memory|stat_refresh)| /var/lib/trading/lost\+found"
)
NUMBERED = re.compile(r"\b(net:\[|pipe_ino=|fd=)\d+")  # by the kernel or systemd, anew with each boot
LOG_IN = re.compile(r"/run/user/\d+")


def parse(text: str) -> Mapping[str, Sequence[str]]:
    """What the script printed, as comparable lines by section."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^@ ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        lines = list(_lines(body))
        found[name] = sorted(lines) if name in UNORDERED else lines
    return found


def differences(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """What is gone (`- section line`), what has been added (`+`), and what merely changed its order."""
    found = []
    for name in sorted({*before, *after}):
        was, now = list(before.get(name, ())), list(after.get(name, ()))
        gone, new = _without(was, now), _without(now, was)
        found += [f"- {name} {line}" for line in gone] + [f"+ {name} {line}" for line in new]
        if was != now and not gone and not new:
            found.append(f"~ {name}: the order is another")
    return found


def _without(lines: Sequence[str], others: Sequence[str]) -> list[str]:
    left, found = list(others), []
    for line in lines:
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found


def _lines(body: str) -> Iterator[str]:
    try:
        value = json.loads(body)
    except ValueError:
        for line in body.splitlines():
            if line.strip() and not NOT_LINES.search(line):
                yield re.sub(r"\[\d+:\d+\]", "", line).rstrip()
        return
    if isinstance(value, dict):  # findmnt and nft have one list in an object
        value = next(iter(value.values()))
    for item in value:
        kept = _kept(item)
        if kept and not LOG_IN.match(str(item.get("target", ""))):
            yield NUMBERED.sub(r"\1", json.dumps(kept, sort_keys=True))


def _kept(value: Any) -> Any:
    """A JSON value without what changes by itself."""
    if isinstance(value, dict):
        return {key: kept for key, it in value.items() if key not in RUNNING_ON and (kept := _kept(it)) not in ({}, [])}
    return [_kept(it) for it in value] if isinstance(value, list) else value
