"""Interfaces get the names of the topology in whatever order the engine created them; in a network namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.lab

# As an engine may have made them: in another order, and eth2 is one of the engine's own.
GIVEN = {
    "eth0": ("10.77.1.13/24", "fd77:0:0:1::13/64"),
    "eth1": ("10.77.0.13/24", "fd77::13/64"),
    "eth2": ("172.18.0.3/16", ""),
    "eth7": ("10.77.2.13/24", "fd77:0:0:2::13/64"),
}
WANTED = {"eth0": "10.77.0.0/24", "eth1": "10.77.1.0/24", "eth2": "10.77.2.0/24"}
PROGRAM = """
import json, sys
from stormdesk.infra.backends.docker import start
start.settle(json.loads(sys.argv[1]))
start.settle(json.loads(sys.argv[1]))
"""


def script(default: str) -> str:
    lines = ["set -e", "ip link set lo up"]
    for i, (name, addresses) in enumerate(GIVEN.items()):
        lines += [
            f"ip link add {name} type veth peer name peer{i}",
            f"ip link set {name} up",
            f"ip link set peer{i} up",
        ]
        lines += [f"ip addr add {a} dev {name}{' nodad' if ':' in a else ''}" for a in addresses if a]
    lines += [
        f"ip route add default via {default}",
        "ip -6 route add default via fd77::1",
        '"$@" >&2',
        "ip -j addr",
        "ip -j route",
    ]
    return "\n".join([*lines, "ip -j -6 route show default"])


@pytest.mark.parametrize(
    ("default", "ends_on"), [("10.77.0.1", "eth0"), ("172.18.0.1", "engine0")], ids=["by us", "by the engine"]
)
def test_each_interface_gets_its_name_and_keeps_what_it_had(default: str, ends_on: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    command = [sys.executable, "-P", "-c", PROGRAM, json.dumps(WANTED)]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script(default), "sh", *command], capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    links, routes, routes6 = (json.loads(line) for line in done.stdout.splitlines())
    assert {name: there for link in links if (there := addresses(link)) and (name := link["ifname"])} == {
        "eth0": {"10.77.0.13/24", "fd77::13/64"},
        "eth1": {"10.77.1.13/24", "fd77:0:0:1::13/64"},
        "eth2": {"10.77.2.13/24", "fd77:0:0:2::13/64"},
        "engine0": {"172.18.0.3/16"},
    }
    assert [(r["gateway"], r["dev"]) for r in routes if r["dst"] == "default"] == [(default, ends_on)]
    assert [(r["gateway"], r["dev"]) for r in routes6] == [("fd77::1", "eth0")]


def addresses(link: dict[str, Any]) -> set[str]:
    return {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"}
