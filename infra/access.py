"""Access to hosts for other programs: ssh, and inventories in their formats.

A `folder` has known_hosts and ssh_config: an environment's own (home.directory), or home.noted of other hosts.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from stormdesk.core import inventory as documents
from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.values import printable
from stormdesk.infra import exports

Writer = Callable[[Inventory, Path], str]
FORMATS: Mapping[str, Writer] = {
    "ssh-config": lambda inventory, folder: exports.ssh_config(inventory, str(folder / "known_hosts")),
    "ansible": lambda inventory, folder: exports.ansible(inventory, str(folder / "ssh_config")),
    "json": lambda inventory, _: documents.render(inventory).decode(),
}


def writer(format: str) -> Writer:  # noqa: A002  the task's own word
    """The function that writes an inventory in that format. UsageError lists the formats."""
    if format not in FORMATS:
        raise UsageError(f"no format '{printable(format)}'. There is: {', '.join(FORMATS)}.")
    return FORMATS[format]


def ssh(folder: Path, host: str) -> NoReturn:
    """Become an ssh client on a host."""
    command = _ssh_command(folder, host)
    os.execvp(command[0], command)  # noqa: S606  the terminal belongs to ssh from here on


def execute(folder: Path, host: str, command: str) -> int:
    """Run one shell command on a host with this process's stdio; returns its exit code (255: ssh itself failed)."""
    return subprocess.run([*_ssh_command(folder, host), command], check=False).returncode


def _ssh_command(folder: Path, host: str) -> list[str]:
    return ["ssh", "-F", str(folder / "ssh_config"), host]
