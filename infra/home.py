"""The local state of environments: `.stormdesk/envs/<name>/` (0700; STORMDESK_HOME moves it).

environment.json (what it is), material.json (its keys), ca/ (its certificate authority), inventory.json, ssh_config,
known_hosts, id_ed25519; volumes/ of a lab and pulumi/ of an environment that Pulumi made. All of it ends with the
environment. Beside it, `inventories/`: what ssh reads of hosts that an `--inventory` named.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from stormdesk import inventory as documents
from stormdesk.errors import UsageError
from stormdesk.infra import ca, exports, keys
from stormdesk.infra.ca import Certificate
from stormdesk.infra.keys import KeyPair
from stormdesk.infra.stacks import Credentials
from stormdesk.infra.topology import NAME
from stormdesk.inventory import Inventory
from stormdesk.testnet import durable

KEPT_INVENTORIES = 50  # of hosts that are no environment; those that were not used for longest go


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What an environment is: environment.json. `owner` is user@machine, `expires_at` ISO 8601 in UTC, `resilience` what
    of testnet/resilience.yaml is another number here, by section.
    """

    name: str
    owner: str
    backend: str
    engine: str
    topology: str
    ttl_s: float
    expires_at: str
    resilience: Mapping[str, Mapping[str, Any]] = {}


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of an environment: material.json, 0600. Made once, so that a second run of a program finds the same."""

    login: KeyPair
    host_keys: Mapping[str, KeyPair]
    credentials: Credentials
    authority: Certificate | None = None  # an environment of an older version has none


def home() -> Path:
    """The directory of all local state: STORMDESK_HOME, else `.stormdesk` in the project (where tasks.py is)."""
    if moved := os.environ.get("STORMDESK_HOME"):
        return Path(moved).absolute()
    here = Path.cwd()
    return next((d for d in (here, *here.parents) if (d / "tasks.py").exists()), here) / ".stormdesk"


def envs() -> Path:
    """Where the environments' directories are."""
    return home() / "envs"


def check_name(name: str) -> None:
    """UsageError unless `name` can be an environment's."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"name '{name}': lower-case letters, digits and '-', a letter first, at most 31. For example: demo"
        )


def directory(name: str) -> Path:
    """An environment's directory, whether it exists or not."""
    check_name(name)
    return envs() / name


def make(name: str) -> Path:
    """Make an environment's directory, for its owner alone."""
    made = directory(name)
    for path in (home(), envs(), made, made / "volumes"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def forget(name: str) -> None:
    """Remove an environment's folder, and the folder of all environments with the last one."""
    shutil.rmtree(directory(name), ignore_errors=True)
    with contextlib.suppress(OSError):
        envs().rmdir()


def owner() -> str:
    """Who makes environments here: user@machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def expiry(ttl_s: float) -> str:
    """The time `ttl_s` seconds from now, as documents have it."""
    return (datetime.now(UTC) + timedelta(seconds=ttl_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_left(expires_at: str) -> float:
    """Seconds until a document's time; below zero when it is over."""
    then = datetime.strptime(expires_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (then - datetime.now(UTC)).total_seconds()


def write_record(record: Record) -> None:
    """Write environment.json."""
    write(directory(record.name) / "environment.json", msgspec.json.format(msgspec.json.encode(record)).decode() + "\n")


def read_record(name: str) -> Record | None:
    """environment.json, or None where there is none that can be read."""
    try:
        return msgspec.json.decode((directory(name) / "environment.json").read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def material(name: str, hosts: Sequence[str]) -> Material:
    """The environment's keys: those that are there, and new ones for what has none."""
    path = directory(name) / "material.json"
    if path.exists():
        old = msgspec.json.decode(path.read_bytes(), type=Material)
    else:
        authority = ca.make()
        old = Material(
            login=keys.generate(), host_keys={}, credentials=keys.credentials(authority), authority=authority
        )
    host_keys = {host: old.host_keys.get(host) or keys.generate() for host in hosts}
    new = msgspec.structs.replace(old, host_keys=host_keys)
    if new != old or not path.exists():
        write(path, msgspec.json.encode(new).decode())
    if new.authority:
        (directory(name) / "ca").mkdir(mode=0o700, exist_ok=True)
        write(directory(name) / "ca" / "ca.pem", new.authority.certificate)
        write(directory(name) / "ca" / "ca.key", new.authority.key)
    return new


def write_state(inventory: Inventory, login: KeyPair) -> None:
    """Write the files that people and tools reach the hosts by."""
    made = directory(inventory.environment)
    write(made / "id_ed25519", login.private)
    _write_ssh(made, inventory)
    write(made / "inventory.json", documents.render(inventory).decode())


def noted(inventory: Inventory) -> Path:
    """The folder with known_hosts and ssh_config of hosts that are no environment of ours; its name is made of theirs."""
    folder = home() / "inventories" / hashlib.sha256(documents.render(inventory)).hexdigest()[:16]
    for path in (home(), folder.parent, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_ssh(folder, inventory)
    for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT_INVENTORIES]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _write_ssh(folder: Path, inventory: Inventory) -> None:
    known_hosts = folder / "known_hosts"
    write(known_hosts, exports.known_hosts(inventory))
    write(folder / "ssh_config", exports.ssh_config(inventory, str(known_hosts)))


def write(path: Path, text: str) -> None:
    """Write a file for its owner alone; whoever reads sees the old one or the new one, also after a crash."""
    durable.replace(path, text.encode(), mode=0o600)
