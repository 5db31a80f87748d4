"""The ways to an environment's hosts that other programs take: ssh, and inventories in their words."""

from __future__ import annotations

import os
import subprocess
from typing import NoReturn

from stormdesk import inventory as documents
from stormdesk.errors import UsageError
from stormdesk.infra import existing, exports, home

FORMATS = ("ssh-config", "ansible", "json")


def export(name: str | None, format: str) -> str:  # noqa: A002  the task's own word
    """The environment in the words of `format`: ssh-config, ansible or json."""
    if format not in FORMATS:
        raise UsageError(f"no format '{format}'. There is: {', '.join(FORMATS)}.")
    inventory = existing.load(name)
    directory = home.directory(inventory.environment)
    match format:
        case "ssh-config":
            return exports.ssh_config(inventory, str(directory / "known_hosts"))
        case "ansible":
            return exports.ansible(inventory, str(directory / "ssh_config"))
        case _:
            return documents.render(inventory).decode()


def ssh(name: str | None, host: str) -> NoReturn:
    """Become an ssh client on a host."""
    command = _ssh_command(name, host)
    os.execvp(command[0], command)  # noqa: S606  the terminal belongs to ssh from here on


def execute(name: str | None, host: str, command: str) -> int:
    """Run one shell command on a host with this process's stdio; returns its exit code (255: ssh itself failed)."""
    return subprocess.run([*_ssh_command(name, host), command], check=False).returncode


def _ssh_command(name: str | None, host: str) -> list[str]:
    inventory = existing.load(name)
    config = home.directory(inventory.environment) / "ssh_config"
    return ["ssh", "-F", str(config), inventory.host(host).name]
