"""Inventories of other tools: the common part, and ssh_config. Pure; Ansible's are in ansible.py.

The result is how the other tool would call ssh. `ssh -G` interprets that call (cli/openssh.py), so there is no second parser of
ssh's options. An unusable host stays in its listing with the reason: only those who ask for that host see it. Fields of an inventory
document that the other tool does not have (networks, services, paths ...) are Ansible variables `stormdesk_<field>`, or in an
ssh_config a comment in the Host block: `# stormdesk {"role": "trader", "paths": {"data": "/var/lib/trading"}}`.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hmac
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import ABOUT
from stormdesk.core.values import shown

FIELDS = ABOUT
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
REVOKED, AUTHORITY = "@revoked", "@cert-authority"
ROLE = "host"  # of hosts without one


@dataclass(frozen=True)
class Way:
    """The command `ssh <words> -- <target>`."""

    target: str
    words: tuple[str, ...] = ()


Reveal = Callable[[str], str]  # decrypts a value; raises UsageError


@dataclass(frozen=True, kw_only=True)
class Named:
    """A host in a file; `about` has its FIELDS, as far as known.

    `way` returns how ssh would be called for it, and may raise UsageError; `why` is the reason why it is unusable, or "".
    """

    name: str
    way: Callable[[], Way] | None = None
    about: Mapping[str, object] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All hosts of a file."""

    environment: str
    expires_at: str = ""
    hosts: tuple[Named, ...]


def ssh_config(text: str, origin: str, path: str) -> Listing:
    """The hosts of an ssh_config: all names in Host lines that are not patterns. `path` is the argument of `ssh -F`."""
    environment = expires_at = ""
    names: dict[str, dict[str, object]] = {}
    whys: dict[str, str] = {}
    block: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*#\s*stormdesk environment ([^\s,]+)(?:, until (\S+Z)\s*$)?", line):
            environment, expires_at = found[1], found[2] or ""
        elif found := re.match(r"\s*#\s*stormdesk (\{.*\})\s*$", line):
            try:
                about = fields(decoded(found[1], f"{origin}:{number}"), f"{origin}:{number}")
            except UsageError as error:
                whys |= dict.fromkeys(block, str(error))
                continue
            for name in block:
                names[name] |= about
        elif found := re.match(r"\s*(host|match)(?:\s*=\s*|\s+)(.*)$", line, re.IGNORECASE):
            words = arguments(found[2]) if found[1].lower() == "host" else []
            block = [word for word in words if not re.search(r"[*?!]", word)]
            names |= {name: {} for name in block if name not in names}
    hosts = [
        Named(name=name, way=partial(Way, name, ("-F", path)), about={"role": ROLE, **about}, why=whys.get(name, ""))
        for name, about in names.items()
    ]
    way = "the comment line: # stormdesk environment NAME"
    return listing(hosts, environment, expires_at, origin, way)


def arguments(text: str) -> list[str]:
    """The words of a Host or Include line, up to a comment. An open quote is left to ssh, which reports it."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def listing(hosts: Sequence[Named], environment: str, expires_at: str, origin: str, way: str) -> Listing:
    """The listing, validated; `way` says how such a file names its environment. Raises UsageError."""
    if not hosts:
        raise UsageError(f"{origin}: no host in it")
    if all(host.why for host in hosts):
        raise UsageError(hosts[0].why)
    if not environment:
        raise UsageError(
            f"{origin}: it does not say which environment this is (the name in /etc/stormdesk.target on the hosts). Add {way}"
        )
    return Listing(environment=environment, expires_at=expires_at, hosts=tuple(hosts))


def split(text: str, where: str) -> list[str]:
    """Words, split as a shell does. Raises UsageError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{where}: {shown(text)}: {error}") from error


def mapping(value: object, what: str, origin: str) -> dict[str, Any]:
    """Keys and values; an empty entry has none. Raises UsageError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{origin}: {what}: expected keys and values, not {shown(str(value))}")
    return {str(key): item for key, item in value.items()}


def decoded(text: str, where: str) -> Any:
    """The JSON in a text. Raises UsageError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: {shown(text)}: not JSON: {error}") from error


def fields(found: object, where: str) -> dict[str, object]:
    """The FIELDS that a file gives; their values are validated with the whole document. Raises UsageError."""
    values = mapping(found, "stormdesk", where)
    if unknown := sorted(set(values) - set(FIELDS)):
        raise UsageError(f"{where}: stormdesk: unknown {shown(unknown[0])}. Known: {', '.join(FIELDS)}")
    return dict(values)


# ---- OpenSSH ---------------------------------------------------------------------------------------------------------


def options(text: str) -> Mapping[str, Sequence[str]]:
    """The output of `ssh -G`: each option's values, in order, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def sole(found: Mapping[str, Sequence[str]], option: str) -> str:
    """The value of an option that `ssh -G` always prints. Raises UsageError when it is missing."""
    if not found.get(option, [""])[0]:
        raise UsageError(f"`ssh -G` names no {option}")
    return found[option][0]


def port(found: Mapping[str, Sequence[str]]) -> int:
    """The port. Raises UsageError."""
    text = sole(found, "port")
    if not re.fullmatch("[0-9]{1,5}", text):
        raise UsageError(f"`ssh -G` names the port {shown(text)}")
    return int(text)


def key_names(found: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The names under which ssh looks for the host's key in known_hosts; the first that exists counts."""
    host, number = sole(found, "hostname"), port(found)
    if alias := found.get("hostkeyalias", [""])[0]:
        return [alias]
    return [host] if number == 22 else [f"[{host}]:{number}", host]


@lru_cache(maxsize=64)  # hosts share their files
def known_lines(text: str) -> Sequence[tuple[str, str, str, str]]:
    """The entries of a known_hosts file: marker or "", patterns, key type, key."""
    found = [re.match(r"\s*(@\S+)?\s*([^#\s]\S*)\s+(\S+)\s+(\S+)", line) for line in text.splitlines()]
    return [(line[1] or "", line[2], line[3], line[4]) for line in found if line]


def host_key(name: str, known_hosts: Iterable[str], *others: str) -> str:
    """`<type> <base64>` of a host, the first of KEY_TYPES that is known and not revoked; "" when there is none.

    `others` are the names to try when the first is unknown; a key that is revoked for one of them is revoked.
    """
    names = (name, *others)
    lines = [line for text in known_hosts for line in known_lines(text) if any(_is_for(line[1], one) for one in names)]
    revoked = {key for marker, _, _, key in lines if marker == REVOKED}
    for one in names:
        keys = [(kind, key) for marker, patterns, kind, key in lines if not marker and _is_for(patterns, one)]
        good = sorted(
            (KEY_TYPES.index(kind), kind, key) for kind, key in keys if kind in KEY_TYPES and key not in revoked
        )
        if keys:
            return " ".join(good[0][1:]) if good else ""
    return ""


def why_no_key(names: Sequence[str], known_hosts: Iterable[str]) -> str:
    """What known_hosts says about a host without a usable key, in a few words; "" when it has no entry."""
    lines = [line for text in known_hosts for line in known_lines(text) if any(_is_for(line[1], one) for one in names)]
    markers, kinds = {line[0] for line in lines}, sorted({line[2] for line in lines})
    if AUTHORITY in markers:
        return f" but a line {AUTHORITY}, which Stormdesk cannot verify: add the host's own key"
    if REVOKED in markers:
        return " but one that is revoked"
    return f" but one of type {', '.join(map(shown, kinds))}, which Stormdesk does not take" if lines else ""


def _is_for(patterns: str, name: str) -> bool:
    """Whether the first word of a known_hosts line matches this host, with hashed names, patterns and exceptions."""
    if patterns.startswith("|1|"):
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in patterns.split("|")[2:4])
        except (binascii.Error, ValueError):
            return False
        return hmac.digest(salt, name.encode(), "sha1") == digest
    # Brackets are plain characters here, not a class as in file names.
    hit = [
        p for p in patterns.split(",") if fnmatch.fnmatchcase(name.lower(), p.lstrip("!").lower().replace("[", "[[]"))
    ]
    return bool(hit) and not any(pattern.startswith("!") for pattern in hit)
