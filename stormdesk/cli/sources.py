"""The sources of `--inventory`: a JSON document, Ansible, OpenSSH or a Pulumi stack."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from stormdesk.cli import ansible_cli, inventories, openssh, pulumi_outputs
from stormdesk.cli.inventories import Listing
from stormdesk.core import inventory as documents
from stormdesk.core.errors import StormdeskError, UsageError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.core.values import printable, shown
from stormdesk.ssh.parallel import each

# A placeholder for the connection settings, while the other fields are read.
NOWHERE = {"address": "unknown", "host_key": "unknown unknown", "identity_file": "unknown"}
MAX_INCLUDES, MAX_DEPTH = 64, 8


class Found(Inventory, frozen=True, kw_only=True):
    """Hosts of another tool's inventory. `host()` asks ssh how one is reached: 10 ms for each host that is used."""

    reach: Callable[[str], InventoryHost]

    def host(self, name: str) -> InventoryHost:  # type: ignore[explicit-override]  # from 3.12
        """The host of that name, as ssh would reach it. Raises UsageError or RefusedError."""
        return self.reach(super().host(name).name)


class _Once:
    """Caches the answer for each host, errors included."""

    def __init__(self, ask: Callable[[str], InventoryHost]) -> None:
        self._ask = ask
        self._answers: dict[str, InventoryHost | StormdeskError] = {}

    def __call__(self, name: str) -> InventoryHost:
        if name not in self._answers:
            self._answers |= each([name], self._ask)
        answer = self._answers[name]
        if isinstance(answer, StormdeskError):
            raise type(answer)(str(answer))
        return answer


def read(source: str) -> Inventory:
    """The inventory of FILE, ansible:FILE, ssh-config:FILE or pulumi:[FOLDER#]STACK. Raises UsageError or RefusedError."""
    kind, colon, rest = source.partition(":")
    match kind if colon else "":
        case "ansible":
            return _found(ansible_cli.read(rest), rest)
        case "ssh-config":
            path = os.path.abspath(os.path.expanduser(rest))
            return _found(inventories.ssh_config(_included(_text(rest, source, "replace")), rest, path), rest)
        case "pulumi":
            return pulumi_outputs.read(rest)
        case _:
            return documents.parse(_text(source, source), source)


def resolved(inventory: Inventory, names: Collection[str] = ()) -> Inventory:
    """The inventory with the connection settings of all its hosts, or only of `names`, as in a document.

    Unusable hosts are in `unusable`, with the reason.
    """
    answers = each(names or inventory.hosts, inventory.host)
    unusable = {name: str(answer) for name, answer in answers.items() if isinstance(answer, StormdeskError)}
    hosts = {n: inventory.hosts[n] if isinstance(answer, StormdeskError) else answer for n, answer in answers.items()}
    return Inventory(
        version=documents.VERSION,
        environment=inventory.environment,
        expires_at=inventory.expires_at,
        hosts=hosts,
        unusable=unusable,
    )


def _text(path: str, source: str, errors: str = "strict") -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8", errors=errors)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(
            f"--inventory {printable(source[:60])}: {why}. Make one: invoke env.export --format json"
        ) from error


def _included(text: str, depth: int = 0) -> str:
    """The text with the files of its Include lines inserted, found as ssh does; their options are left to ssh."""
    lines = []
    for line in text.splitlines():
        lines.append(line)
        include = re.match(r"\s*include(?:\s*=\s*|\s+)(.*)", line, re.IGNORECASE)
        for name in inventories.arguments(include[1]) if include and depth < MAX_DEPTH else ():
            pattern = os.path.join(os.path.expanduser("~/.ssh"), os.path.expanduser(name))
            found = [path for path in sorted(glob.glob(pattern))[:MAX_INCLUDES] if os.path.isfile(path)]
            lines += [_included(_text(path, path, "replace"), depth + 1) for path in found]
    return "\n".join(lines)


def _found(listing: Listing, origin: str) -> Found:
    """The hosts and their fields, before ssh is asked about any of them."""
    known = {host.name: host for host in listing.hosts}
    stated = documents.collect(
        listing.environment,
        listing.expires_at,
        {name: {**host.about, "name": name, **NOWHERE} for name, host in known.items()},
        origin,
    )
    whys = {shown(host.name): host.why for host in listing.hosts if host.why}
    return Found(
        version=documents.VERSION,
        environment=stated.environment,
        expires_at=stated.expires_at,
        hosts={name: documents.outline(name, {**msgspec.to_builtins(host)}) for name, host in stated.hosts.items()},
        unusable={**stated.unusable, **whys},
        reach=_Once(lambda name: openssh.reached(known[name], origin)),
    )
