"""An environment on the tests' own engine, reached through a ProxyCommand and used by real `invoke` tasks."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stormdesk.core import inventory as documents
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.infra import dialing, exports, keys, over_ssh, ready
from stormdesk.infra.backends.docker.plan import Abilities, Site
from stormdesk.infra.backends.lab import enter, processes
from stormdesk.infra.topology import Topology
from stormdesk.ssh.pool import Pool
from tests.docker.engines import Dockerd
from tests.support.invoking import ROOT, environ

EXPIRES = "2099-01-01T00:00:00Z"
FIRST_PORT = 2201  # the engine's network is its own, so every port is free


def site(name: str, topology: Topology, image: str, folder: Path, abilities: Abilities) -> Site:
    """A site with new keys; the login key goes into `folder`."""
    login = keys.generate()
    identity = folder / "id_ed25519"
    identity.touch(0o600)
    identity.write_text(login.private)
    return Site(
        environment=name,
        owner=f"{getpass.getuser()}@test",
        expires_at=EXPIRES,
        image=image,
        authorized_key=login.public,
        identity_file=str(identity),
        host_keys={host.name: keys.generate() for host in topology.hosts},
        ports={host.name: FIRST_PORT + i for i, host in enumerate(topology.hosts)},
        abilities=abilities,
    )


def through(engine: Dockerd, folder: Path, hosts: Mapping[str, InventoryHost]) -> Mapping[str, InventoryHost]:
    """The same hosts, reached from outside of the engine's network."""
    record = {"pid": engine.pid, "start_time": processes.start_time(engine.pid)}
    run_dir = folder / f"enter-{engine.pid}"
    run_dir.mkdir(exist_ok=True)
    (run_dir / "lab.json").write_text(json.dumps(record))
    command = shlex.join([sys.executable, "-I", "-S", str(Path(enter.__file__).resolve()), str(run_dir)])
    return {name: msgspec.structs.replace(host, proxy_command=f"{command} %h %p") for name, host in hosts.items()}


def inventory(site: Site, hosts: Mapping[str, InventoryHost], folder: Path) -> Path:
    """The inventory as a file."""
    path = folder / "inventory.json"
    document = Inventory(version=documents.VERSION, environment=site.environment, expires_at=EXPIRES, hosts=hosts)
    path.write_bytes(documents.render(document))
    return path


def invoke(folder: Path, *words: str, code: int = 0, within_s: float = 150) -> dict[str, Any]:
    """One task with --json; what it printed, with its stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words, "--json"], cwd=ROOT, env=environ(folder), capture_output=True,
        text=True, timeout=within_s, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"{words}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return {**answer, "stderr": done.stderr}


def groups(name: str) -> list[Path]:
    """The control groups of that name, in every hierarchy of this machine."""
    return [path for path in Path("/sys/fs/cgroup").glob(f"*/{name}") if os.path.isdir(path)]


@dataclass(frozen=True)
class SshConfig:
    """Plain `ssh` to the hosts of an inventory, with strict host keys."""

    folder: Path
    inventory: Path

    @property
    def document(self) -> Inventory:
        """The inventory."""
        return documents.parse(self.inventory.read_bytes(), str(self.inventory))

    def ready(self, topology: Topology, within_s: float) -> list[str]:
        """Wait until the stack does its work; what was said of each stage. Fails when a stage was not reached."""
        said: list[str] = []
        with Pool(self.document, dialing.dialer(self.document)) as pool:
            ready.wait(topology, over_ssh.questions(pool, topology), within_s, said.append)
        assert not [line for line in said if line.startswith("not after")], said
        return [line.rpartition(" after ")[0] for line in said]

    def ssh(self, host: str, *words: str) -> subprocess.CompletedProcess[str]:
        """One command on a host, as it ended."""
        document = self.document
        known, config = self.folder / "known_hosts", self.folder / "ssh_config"
        known.write_text(exports.known_hosts(document))
        config.write_text(exports.ssh_config(document, str(known)))
        command = ["ssh", "-F", str(config), host, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def run(self, host: str, *words: str) -> str:
        """What a command printed; it must have ended well."""
        done = self.ssh(host, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout
