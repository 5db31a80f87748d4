"""Pid 1 of a container, up to the exec of its init. In a lab, the lab init does this.

    python -P -m stormdesk.infra.backends.docker.start

Runs at every start of the container, also after `docker restart`; the files are written at the first start only.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from stormdesk.infra.backends import arrival
from stormdesk.infra.backends.lab.files import PATH
from stormdesk.infra.backends.lab.spec import DirectorySpec, FileSpec

MODULE = "stormdesk.infra.backends.docker.start"
DOCUMENT = "/etc/stormdesk/host.json"
STARTED = Path("/var/lib/stormdesk/started")
# The engine mounts its own files here: they cannot be replaced, and name resolution uses the engine's DNS.
MOUNTED = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
DEADLINE_S = 10


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A host's description. `links` maps interface names to their IPv4 subnets, `routes` maps networks to gateways.

    `hosts`: we write /etc/hosts (addresses are fixed); otherwise the engine's DNS resolves names.
    """

    files: Sequence[FileSpec]
    directories: Sequence[DirectorySpec]
    links: Mapping[str, str]
    routes: Mapping[str, str]
    hosts: bool = True


def main() -> NoReturn:
    """Become the host."""
    os.umask(0o022)
    start = msgspec.json.decode(Path(DOCUMENT).read_bytes(), type=Start)
    names = [file for file in start.files if file.path == "/etc/hosts" and start.hosts]
    first = not STARTED.exists()
    arrival.write_all(start.directories, [f for f in start.files if f.path not in MOUNTED] if first else ())
    for file in names:
        Path(file.path).write_text(file.text)
    settle(start.links)
    for to, via in start.routes.items():
        _ip("route", "replace", to, "via", via)
    STARTED.touch()
    if os.fork() == 0:
        arrival.wake_supervisord()
    environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "linux"}
    os.execve("/bin/busybox", ["init"], environment)  # noqa: S606  this is the host's init


def settle(links: Mapping[str, str]) -> None:
    """Rename each interface by the subnet it is in: engines assign names in their own order."""
    there = {link["ifname"]: link for link in _ip_json("addr")}
    moves = {old: new for old, link in there.items() if (new := _wanted(link, links)) and new != old}
    in_the_way = [name for name in moves.values() if name in there and name not in moves]  # the engine's own
    moves |= {name: f"engine{i}" for i, name in enumerate(in_the_way)}
    if not moves:
        return
    defaults = [route for version in ("-4", "-6") for route in _ip_json(version, "route", "show", "default")]
    for i, old in enumerate(moves):
        _ip("link", "set", old, "down")
        _ip("link", "set", old, "name", f"moving{i}")
    for i, (old, new) in enumerate(moves.items()):
        _ip("link", "set", f"moving{i}", "name", new)
        _ip("link", "set", new, "up")
        for address in _global(there[old]):  # the kernel removed the IPv6 addresses when the link went down
            flags = ("nodad",) if address["family"] == "inet6" else ()
            _ip("addr", "replace", f"{address['local']}/{address['prefixlen']}", "dev", new, *flags)
    for route in defaults:
        if route["dev"] in moves:
            _ip("route", "replace", "default", "via", route["gateway"], "dev", moves[route["dev"]])


def _wanted(link: Mapping[str, Any], links: Mapping[str, str]) -> str:
    own = [ipaddress.ip_address(a["local"]) for a in _global(link)]
    return next((name for name, subnet in links.items() if any(a in ipaddress.ip_network(subnet) for a in own)), "")


def _global(link: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [address for address in link["addr_info"] if address.get("scope") == "global"]


def _ip_json(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(("ip", "-j", *words), check=True, capture_output=True, timeout=DEADLINE_S)
    found: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    return found


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, timeout=DEADLINE_S)


if __name__ == "__main__":
    main()
