"""Inventories of other tools, read: Ansible (INI, YAML, JSON) and ssh_config. Pure.

What is found here is how the other tool would call ssh; what that call then means, `ssh -G` says (drive/sources.py),
so that nobody's options are read in two ways. What an inventory document has and the other tool has not (networks,
services, paths ...) stands in Ansible variables `stormdesk_<field>`, in an ssh_config in a comment of the Host block:
`# stormdesk {"role": "trader", "paths": {"data": "/var/lib/trading"}}`.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hmac
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stormdesk.errors import UsageError
from stormdesk.values import shown

FIELDS = ("role", "networks", "services", "paths", "shares_kernel")
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
ROLE = "host"  # of hosts that nobody gave one


@dataclass(frozen=True, kw_only=True)
class Named:
    """A host that `ssh <words> -- <target>` would log in to; `about` holds those of FIELDS that are known."""

    name: str
    target: str
    words: tuple[str, ...] = ()
    about: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All hosts that a file names."""

    environment: str
    expires_at: str = ""
    hosts: tuple[Named, ...]


def ssh_config(text: str, origin: str, path: str) -> Listing:
    """The hosts of an ssh_config: each name of a Host line that is no pattern. `path` is what `ssh -F` gets."""
    environment = expires_at = ""
    names: dict[str, dict[str, object]] = {}
    block: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*#\s*stormdesk environment ([^\s,]+)(?:, until (\S+Z)\s*$)?", line):
            environment, expires_at = found[1], found[2] or ""
        elif found := re.match(r"\s*#\s*stormdesk (\{.*\})\s*$", line):
            about = fields(decoded(found[1], f"{origin}:{number}"), f"{origin}:{number}")
            for name in block:
                names[name] |= about
        elif found := re.match(r"\s*(host|match)(?:\s*=\s*|\s+)(.*)$", line, re.IGNORECASE):
            words = split(found[2], f"{origin}:{number}") if found[1].lower() == "host" else []
            block = [word for word in words if not re.search(r"[*?!]", word)]
            names |= {name: {} for name in block if name not in names}
    hosts = [Named(name=n, target=n, words=("-F", path), about={"role": ROLE, **about}) for n, about in names.items()]
    way = "the comment line: # stormdesk environment NAME"
    return listing(hosts, environment, expires_at, origin, way)


def listing(hosts: Sequence[Named], environment: str, expires_at: str, origin: str, way: str) -> Listing:
    """The listing, if it can be one; `way` is how such a file names its environment. Raises UsageError."""
    if not hosts:
        raise UsageError(f"{origin}: no host in it")
    if not environment:
        raise UsageError(
            f"{origin}: it does not say which environment this is (the name in /etc/stormdesk.target on the hosts). Add {way}"
        )
    return Listing(environment=environment, expires_at=expires_at, hosts=tuple(hosts))


def split(text: str, where: str) -> list[str]:
    """Words as a shell parts them, up to a comment. Raises UsageError."""
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise UsageError(f"{where}: {shown(text)}: {error}") from error


def mapping(value: object, what: str, origin: str) -> dict[str, Any]:
    """Keys and values, none for an empty entry. Raises UsageError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{origin}: {what}: expected keys and values, not {shown(str(value))}")
    return {str(key): item for key, item in value.items()}


def decoded(text: str, where: str) -> Any:
    """The JSON in a text. Raises UsageError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where}: {shown(text)}: not JSON: {error}") from error


def fields(found: object, where: str) -> dict[str, object]:
    """Those of FIELDS that a file gives; what is in them is checked with the whole document. Raises UsageError."""
    values = mapping(found, "stormdesk", where)
    if unknown := sorted(set(values) - set(FIELDS)):
        raise UsageError(f"{where}: stormdesk: unknown {shown(unknown[0])}. Known: {', '.join(FIELDS)}")
    return dict(values)


# ---- OpenSSH ---------------------------------------------------------------------------------------------------------


def options(text: str) -> Mapping[str, Sequence[str]]:
    """What `ssh -G` prints: each option's values, in order, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def key_name(found: Mapping[str, Sequence[str]]) -> str:
    """Under which name known_hosts has the host's key."""
    host, port = found["hostname"][0], found["port"][0]
    alias = found.get("hostkeyalias", [""])[0]
    return alias or (host if port == "22" else f"[{host}]:{port}")


def host_key(name: str, known_hosts: Iterable[str]) -> str:
    """`<type> <base64>` of a host, the first of KEY_TYPES that is known and not revoked; "" when there is none."""
    keys: dict[str, list[str]] = {}
    revoked: set[str] = set()
    for line in (line for text in known_hosts for line in text.splitlines()):
        marker, rest = re.match(r"\s*(@\S+)?\s*(.*)", line).groups()  # type: ignore[union-attr]  # it matches any line
        words = rest.split()
        if len(words) < 3 or rest.startswith("#") or not _is_for(words[0], name):
            continue
        if marker == "@revoked":
            revoked.add(words[2])
        elif not marker:
            keys.setdefault(words[1], []).append(words[2])
    good = ((kind, key) for kind in KEY_TYPES for key in keys.get(kind, ()) if key not in revoked)
    return " ".join(next(good, ()))


def _is_for(patterns: str, name: str) -> bool:
    """Does the first word of a known_hosts line mean this host? Hashed names, patterns and exceptions included."""
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
