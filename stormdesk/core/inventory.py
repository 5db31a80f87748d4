"""The inventory: the hosts and how they are reached. Pure; docs/formats/inventory.md has the document.

The same document comes from a lab, from Pulumi outputs, from Ansible or from an ssh_config; nothing downstream knows which.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import fields

from stormdesk.core.errors import UsageError
from stormdesk.core.values import printable, shown

VERSION = 1
MOST_SAID = 300  # characters of what a decoder says, which may quote its whole input
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"  # of hosts and roles
ABOUT = (
    "role",
    "networks",
    "services",
    "paths",
    "shares_kernel",
)  # what a host is; the other keys say how to connect to it


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host's place on one network. Addresses carry their prefix length, e.g. `10.77.1.11/24`."""

    interface: str
    address: str
    address6: str = ""


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service on a host. `manager` restarts it: `supervisor`, `init`, `systemd` or "" for none."""

    user: str
    manager: str = ""
    ports: Mapping[str, int] = {}
    pidfile: str = ""


class InventoryHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One host. `address` and `port` are where sshd answers; `host_key` is `<type> <base64>`.

    `paths` are the directories that belong to trading (faults on files stay inside them). A host with `shares_kernel` has the
    controller's kernel, so kernel-wide faults are refused on it. The keys to log in with are as OpenSSH's IdentityFile (the
    first may be "": only the ssh-agent's keys), CertificateFile, IdentityAgent and IdentitiesOnly.
    """

    name: str
    role: str
    address: str
    port: int = 22
    user: str = "root"
    host_key: str
    identity_file: str
    more_identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identity_agent: str = ""
    identities_only: bool = False
    proxy_command: str = ""
    networks: Mapping[str, Link] = {}
    services: Mapping[str, ServiceEntry] = {}
    paths: Mapping[str, str] = {}
    shares_kernel: bool = False

    @property
    def target(self) -> str:
        """The host in the usual notation: `root@10.77.0.13:22`."""
        return f"{self.user}@{self.address}:{self.port}"


_KINDS = {item.name: item.type for item in fields(InventoryHost) if item.name in ABOUT}


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All hosts of one environment. `expires_at` is an RFC 3339 instant in UTC, or "" for never.

    `hosts` describes each host; its connection settings are complete only in the result of `host()`. `unusable` says, by name,
    why a host cannot be used; that affects only callers that need it.
    """

    version: int
    environment: str
    expires_at: str = ""
    hosts: Mapping[str, InventoryHost]
    unusable: Mapping[str, str] = {}

    def host(self, name: str) -> InventoryHost:
        """The host of that name. Raises UsageError when it cannot be used or is unknown; then the message suggests the nearest."""
        if name in self.unusable:
            raise UsageError(self.unusable[name])
        if name in self.hosts:
            return self.hosts[name]
        near = sorted(difflib.get_close_matches(name, self.hosts, 2, 0.5))
        hint = f"Did you mean: {near[0]}?" if near else f"Known: {', '.join(sorted(self.hosts))}."
        raise UsageError(
            f"no host '{shown(name)}' in environment {self.environment}. {hint}   (invoke env.status lists hosts)"
        )

    @property
    def trading(self) -> bool:
        """Whether this is our trading stack, with a venue whose journal is the truth. On other stacks orders cannot be judged."""
        has = {(name, port) for host in self.hosts.values() for name, s in host.services.items() for port in s.ports}
        return {("venue", "control"), ("trader", "http"), ("postgres", "postgres")} <= has

    def role(self, role: str) -> Sequence[InventoryHost]:
        """All hosts of a role, by name."""
        return [h for _, h in sorted(self.hosts.items()) if h.role == role]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inventory document as it is written."""

    version: int
    environment: str
    expires_at: str = ""
    hosts: Mapping[str, InventoryHost]


class _Received(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document as it is read: one unusable host must not make the others unusable."""

    version: int
    environment: str
    expires_at: str = ""
    hosts: dict[str, Any]


def parse(text: bytes | str, origin: str) -> Inventory:
    """Read an inventory document (JSON). `origin` names the file in errors.

    Raises UsageError, also when there are hosts and all are unusable.
    """
    try:
        document = msgspec.json.decode(text, type=_Received)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{origin}: not an inventory: {printable(str(error)[:MOST_SAID])}") from error
    if document.version != VERSION:
        raise UsageError(f"{origin}: inventory version {document.version}: this Stormdesk reads version {VERSION}")
    return collect(document.environment, document.expires_at, document.hosts, origin)


def collect(environment: str, expires_at: str, entries: Mapping[str, object], origin: str) -> Inventory:
    """An inventory of hosts by name, each as in the document. Raises UsageError when there are hosts and all are unusable."""
    for what, text in (("environment", environment), ("expires_at", expires_at)):
        if not text.isprintable():
            raise UsageError(f"{origin}: {what} {shown(text)}: must be one line")
    hosts: dict[str, InventoryHost] = {}
    unusable: dict[str, str] = {}
    for name, entry in entries.items():
        try:
            hosts[name] = entry_of(name, entry, origin)
        except UsageError as error:
            known = shown(name)
            hosts[known], unusable[known] = outline(known, entry), str(error)
    if unusable and len(unusable) == len(hosts):
        raise UsageError(next(iter(unusable.values())))
    return Inventory(version=VERSION, environment=environment, expires_at=expires_at, hosts=hosts, unusable=unusable)


def entry_of(name: str, entry: object, origin: str) -> InventoryHost:
    """One host of the document. Raises UsageError."""
    try:
        host = msgspec.convert(entry, InventoryHost)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"{origin}: host '{shown(name)}': {printable(str(error)[:MOST_SAID])}") from error
    if name != host.name:
        raise UsageError(f"{origin}: host '{shown(name)}' calls itself '{shown(host.name)}'")
    _check(host, origin)
    return host


def outline(name: str, entry: object) -> InventoryHost:
    """A host without its connection settings: the valid parts of `entry`."""
    about: dict[str, Any] = {"role": "host"}
    for key, kind in _KINDS.items():
        value = entry.get(key) if isinstance(entry, Mapping) else None
        if value is not None:
            with contextlib.suppress(msgspec.ValidationError, RecursionError):
                about[key] = msgspec.convert(value, kind)
    if not re.fullmatch(NAME, about["role"]):
        about["role"] = "host"
    return InventoryHost(name=name, address="", host_key="", identity_file="", **about)


def _check(host: InventoryHost, origin: str) -> None:
    """Refuse values with a second meaning in a command, in a file for ssh or on a terminal."""
    for what, text, pattern, rule in (
        ("name", host.name, NAME, "1..63 of letters, digits, . _ - (e.g. trader-a)"),
        ("role", host.role, NAME, "1..63 of letters, digits, . _ - (e.g. trader)"),
        ("address", host.address, r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,252}", "a name or an IP address without a zone"),
        ("user", host.user, r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "a user name, e.g. root"),
        ("host_key", host.host_key, r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( .*)?", "<type> <base64>, as in known_hosts"),
        ("identity_file", host.identity_file, r".*", "the path of a private key, or nothing for the ssh-agent's"),
        *(("more_identity_files", path, r".+", "paths of private keys") for path in host.more_identity_files),
        *(("certificate_files", path, r".+", "paths of certificates") for path in host.certificate_files),
        ("identity_agent", host.identity_agent, r".*", "none, SSH_AUTH_SOCK, $NAME or the path of a socket"),
    ):
        if not re.fullmatch(pattern, text) or not text.isprintable():
            raise UsageError(f"{origin}: host '{shown(host.name)}': {what} {shown(text)}: must be {rule}")
    if not 1 <= host.port <= 65535:
        raise UsageError(f"{origin}: host '{host.name}': port {host.port}: must be 1..65535, e.g. 22")
    if not host.proxy_command.isprintable():
        raise UsageError(f"{origin}: host '{host.name}': proxy_command {shown(host.proxy_command)}: must be one line")


def render(inventory: Inventory) -> bytes:
    """The document, indented, keys in a fixed order; unusable hosts are left out."""
    document = Document(
        version=inventory.version,
        environment=inventory.environment,
        expires_at=inventory.expires_at,
        hosts={name: inventory.host(name) for name in inventory.hosts if name not in inventory.unusable},
    )
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=1) + b"\n"
