"""Inventory: which hosts there are and how they are reached. Pure; docs/formats.md section 1 has the document.

The same document comes from a lab, from Pulumi outputs, from Ansible or from an ssh_config; nothing downstream knows which.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import msgspec

from stormdesk.errors import UsageError
from stormdesk.values import shown

VERSION = 1


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host's place on one network. Addresses carry their prefix length, e.g. `10.77.1.11/24`."""

    interface: str
    address: str
    address6: str = ""


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service on a host. `manager` is who restarts it: `supervisor`, `init`, `systemd` or "" for nobody."""

    user: str
    manager: str = ""
    ports: Mapping[str, int] = {}
    pidfile: str = ""


class InventoryHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One host. `address` and `port` are where sshd answers; `host_key` is `<type> <base64>`.

    `paths` are the directories that belong to trading (faults on files stay inside them); `shares_kernel` says that
    the host shares the controller's kernel, so kernel-wide faults are refused on it.
    """

    name: str
    role: str
    address: str
    port: int = 22
    user: str = "root"
    host_key: str
    identity_file: str
    proxy_command: str = ""
    networks: Mapping[str, Link] = {}
    services: Mapping[str, ServiceEntry] = {}
    paths: Mapping[str, str] = {}
    shares_kernel: bool = False

    @property
    def target(self) -> str:
        """How people write it: `root@10.77.0.13:22`."""
        return f"{self.user}@{self.address}:{self.port}"


class Inventory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All hosts of one environment. `expires_at` is an RFC 3339 instant in UTC, or "" for never."""

    version: int
    environment: str
    expires_at: str = ""
    hosts: Mapping[str, InventoryHost]

    def host(self, name: str) -> InventoryHost:
        """The host of that name, or a UsageError that suggests the nearest one."""
        if name in self.hosts:
            return self.hosts[name]
        near = sorted(difflib.get_close_matches(name, self.hosts, 2, 0.5))
        hint = f"Did you mean: {near[0]}?" if near else f"Known: {', '.join(sorted(self.hosts))}."
        raise UsageError(
            f"no host '{shown(name)}' in environment {self.environment}. {hint}   (invoke env.status lists hosts)"
        )

    @property
    def trading(self) -> bool:
        """Is it our trading stack, with a venue whose journal is the truth? Else orders are nothing that we can judge."""
        has = {(name, port) for host in self.hosts.values() for name, s in host.services.items() for port in s.ports}
        return {("venue", "control"), ("trader", "http"), ("postgres", "postgres")} <= has

    def role(self, role: str) -> Sequence[InventoryHost]:
        """All hosts of a role, by name."""
        return [h for _, h in sorted(self.hosts.items()) if h.role == role]


def parse(text: bytes | str, origin: str) -> Inventory:
    """Read an inventory document (JSON). `origin` names the file in errors."""
    try:
        inventory = msgspec.json.decode(text, type=Inventory)
    except msgspec.DecodeError as error:
        raise UsageError(f"{origin}: not an inventory: {error}") from error
    if inventory.version != VERSION:
        raise UsageError(f"{origin}: inventory version {inventory.version}: this Stormdesk reads version {VERSION}")
    for what, text in (("environment", inventory.environment), ("expires_at", inventory.expires_at)):
        if not text.isprintable():
            raise UsageError(f"{origin}: {what} {shown(text)}: must be one line")
    for name, host in inventory.hosts.items():
        if name != host.name:
            raise UsageError(f"{origin}: host '{shown(name)}' calls itself '{shown(host.name)}'")
        _check(host, origin)
    return inventory


def _check(host: InventoryHost, origin: str) -> None:
    """Everything that ends up in a command, a file for ssh or a line on a terminal means one thing there and no other."""
    for what, text, pattern, rule in (
        ("name", host.name, r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "1..63 of letters, digits, . _ - (e.g. trader-a)"),
        ("role", host.role, r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "1..63 of letters, digits, . _ - (e.g. trader)"),
        ("address", host.address, r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,252}", "a name or an IP address without a zone"),
        ("user", host.user, r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "a user name, e.g. root"),
        ("host_key", host.host_key, r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( .*)?", "<type> <base64>, as in known_hosts"),
        ("identity_file", host.identity_file, r".+", "the path of a private key"),
    ):
        if not re.fullmatch(pattern, text) or not text.isprintable():
            raise UsageError(f"{origin}: host '{shown(host.name)}': {what} {shown(text)}: must be {rule}")
    if not 1 <= host.port <= 65535:
        raise UsageError(f"{origin}: host '{host.name}': port {host.port}: must be 1..65535, e.g. 22")
    if not host.proxy_command.isprintable():
        raise UsageError(f"{origin}: host '{host.name}': proxy_command {shown(host.proxy_command)}: must be one line")


def render(inventory: Inventory) -> bytes:
    """Write the document, indented, keys in a fixed order."""
    return msgspec.json.format(msgspec.json.encode(inventory, order="deterministic"), indent=1) + b"\n"
