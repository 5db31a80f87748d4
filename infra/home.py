"""The local state of environments: `.stormdesk/envs/<name>/` (0700; STORMDESK_HOME moves it).

environment.json (its record), material.json (its keys), ca/ (its certificate authority), inventory.json, ssh_config,
known_hosts, id_ed25519; volumes/ of a lab and pulumi/ of an environment that `env.up` created with Pulumi. All of it is removed
with the environment. Beside it, `inventories/` has ssh's files for the hosts of an `--inventory`.
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

from stormdesk import durable
from stormdesk.core import inventory as documents
from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.values import printable
from stormdesk.infra import backends, ca, exports, keys
from stormdesk.infra.ca import Certificate
from stormdesk.infra.keys import KeyPair
from stormdesk.infra.stacks import Credentials
from stormdesk.infra.topology import NAME, Init

CLI = "pulumi-cli"  # the engine of an environment created by `pulumi up`: its state is in the user's own Pulumi backend
KNOWN_ENGINES = ("direct", "pulumi", CLI)
KEPT_INVENTORIES = 50  # of hosts that are not an environment; the least recently used are removed


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An environment's record, environment.json. `owner` is user@machine, `expires_at` ISO 8601 in UTC, `resilience` the overrides
    of testnet/resilience.yaml, by section, `init` process 1 of all hosts.
    """

    name: str
    owner: str
    backend: str
    engine: str
    topology: str
    ttl_s: float
    expires_at: str
    resilience: Mapping[str, Mapping[str, Any]] = {}
    init: Init = Init.BUSYBOX


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of an environment: material.json, 0600. Created once, so that a second run of a program finds the same."""

    login: KeyPair
    host_keys: Mapping[str, KeyPair]
    credentials: Credentials
    authority: Certificate | None = None  # environments of older versions have none


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The input for an environment's folder."""

    record: Record
    material: Material


def home() -> Path:
    """The directory of all local state: STORMDESK_HOME, else `.stormdesk` in the project (where tasks.py is)."""
    if moved := os.environ.get("STORMDESK_HOME"):
        return Path(moved).absolute()
    here = Path.cwd()
    return next((d for d in (here, *here.parents) if (d / "tasks.py").exists()), here) / ".stormdesk"


def envs() -> Path:
    """The folder of all environments' directories."""
    return home() / "envs"


def check_name(name: str) -> None:
    """Raises UsageError unless `name` is valid for an environment."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"name '{name}': lower-case letters, digits and '-', a letter first, at most 31. For example: demo"
        )


def directory(name: str) -> Path:
    """An environment's directory, whether it exists or not."""
    check_name(name)
    return envs() / name


def make(name: str) -> Path:
    """Create an environment's directory, accessible to its owner only."""
    made = directory(name)
    _make(made)
    return made


def _make(folder: Path) -> None:
    for path in (folder.parent.parent, folder.parent, folder, folder / "volumes"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def forget(name: str) -> None:
    """Remove an environment's folder; with the last one, also the folder of all environments."""
    shutil.rmtree(directory(name), ignore_errors=True)
    with contextlib.suppress(OSError):
        envs().rmdir()


def clear(folder: Path) -> None:
    """Remove an environment's folder except Pulumi's state, `pulumi/`, which may be in use."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name != "pulumi":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for empty in (folder, folder.parent):
        with contextlib.suppress(OSError):
            empty.rmdir()


def owner() -> str:
    """The owner of new environments: user@machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def expiry(ttl_s: float) -> str:
    """The time `ttl_s` seconds from now, in the format of documents."""
    return (datetime.now(UTC) + timedelta(seconds=ttl_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_left(expires_at: str) -> float:
    """Seconds until a document's time; negative when it has passed."""
    then = datetime.strptime(expires_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (then - datetime.now(UTC)).total_seconds()


def write_record(record: Record) -> None:
    """Write environment.json."""
    _write_record(directory(record.name), record)


def read_record(name: str) -> Record | None:
    """environment.json, or None if there is no usable one."""
    return record_in(directory(name))


def record_in(folder: Path) -> Record | None:
    """The record of the environment with this folder, or None if there is no usable one."""
    found = _record(folder)
    return found if isinstance(found, Record) else None


def flaw(name: str) -> str:
    """Why environment.json is unusable, in one line; "" if it is usable or missing."""
    found = _record(directory(name))
    return f"its environment.json cannot be used: {printable(found)}" if isinstance(found, str) else ""


def _record(folder: Path) -> Record | str | None:
    try:
        record = msgspec.json.decode((folder / "environment.json").read_bytes(), type=Record)
        seconds_left(record.expires_at)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        return " ".join(str(error).split())
    if record.name != folder.name:
        return f"it is of '{record.name}'"
    if record.backend not in backends.MODULES:
        return f"no backend '{record.backend}'"
    if record.engine not in KNOWN_ENGINES:
        return f"no engine '{record.engine}'"
    return record


def material(name: str, hosts: Sequence[str]) -> Material:
    """The environment's keys, existing or new, stored in its folder. Raises UsageError."""
    made = draft(name, hosts)
    _write_material(directory(name), made)
    return made


def draft(name: str, hosts: Sequence[str]) -> Material:
    """The environment's keys, existing or new. Nothing is written.

    Raises UsageError when the existing ones cannot be read.
    """
    path = directory(name) / "material.json"
    if path.exists():
        try:
            old = msgspec.json.decode(path.read_bytes(), type=Material)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: {error}. Type: invoke env.down --env {name}") from error
    else:
        authority = ca.make()
        old = Material(
            login=keys.generate(), host_keys={}, credentials=keys.credentials(authority), authority=authority
        )
    host_keys = {host: old.host_keys.get(host) or keys.generate() for host in hosts}
    return msgspec.structs.replace(old, host_keys=host_keys)


def keep(folder: Path, kept: Kept) -> None:
    """Write an environment's record and keys into its folder, which is created if missing."""
    _make(folder)
    _write_record(folder, kept.record)
    _write_material(folder, kept.material)


def _write_record(folder: Path, record: Record) -> None:
    write(folder / "environment.json", msgspec.json.format(msgspec.json.encode(record)).decode() + "\n")


def _write_material(folder: Path, material: Material) -> None:
    write(folder / "material.json", msgspec.json.encode(material).decode())
    write(folder / "id_ed25519", material.login.private)
    if material.authority:
        (folder / "ca").mkdir(mode=0o700, exist_ok=True)
        write(folder / "ca" / "ca.pem", material.authority.certificate)
        write(folder / "ca" / "ca.key", material.authority.key)


def write_state(inventory: Inventory) -> None:
    """Write the files that people and tools need to reach the hosts. An environment that has them is complete."""
    made = directory(inventory.environment)
    _write_ssh(made, inventory)
    write(made / "inventory.json", documents.render(inventory).decode())


def noted(inventory: Inventory) -> Path:
    """The folder with known_hosts and ssh_config of hosts that are not an environment; its name is derived from their names."""
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
    """Write a file that only its owner can read; readers see the old one or the new one, even after a crash."""
    durable.replace(path, text.encode(), mode=0o600)
