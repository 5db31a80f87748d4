"""A real runit for a sandbox: Debian's package, downloaded and unpacked into the cache; nothing is installed on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from stormdesk.core.errors import RefusedError
from stormdesk.infra.backends.lab import layer
from tests.shell.sandbox import Sandbox
from tests.skips import got

TOOLS = ("runsv", "runsvdir", "sv")
# Its state is below /tmp, where the tests' picture of the host does not look: a supervisor writes there whatever happens.
SERVICES = """
mkdir -p /etc/service /tmp/sv/trader
printf '#!/bin/sh\\nexec sleep 1000\\n' >/tmp/sv/trader/run
chmod 755 /tmp/sv/trader/run
ln -s /tmp/sv/trader /etc/service/trader
setsid runsvdir /etc/service </dev/null >/dev/null 2>&1 &
"""


def start(sandbox: Sandbox) -> None:
    """Run `trader` under runit there; skips the test where the package cannot be had."""
    made = got(_unpacked)
    for tool in TOOLS:
        shutil.copy(made / tool, f"/proc/{sandbox.pid}/root/usr/bin/{tool}")
    sandbox.sh(SERVICES)


def _unpacked() -> Path:
    """The folder with the tools. RefusedError: there are none here, and the package cannot be downloaded."""
    if all(shutil.which(tool) for tool in TOOLS):
        return Path(str(shutil.which("sv"))).parent
    made = layer.cache() / "runit"
    if made.is_dir():
        return made
    work = layer.cache() / f"runit.{os.getpid()}"
    work.mkdir(parents=True)
    try:
        _quietly("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "runit", folder=work)
        (package,) = work.glob("*.deb")
        _quietly("dpkg-deb", "--extract", package.name, "root", folder=work)
        if not made.is_dir():  # another worker may be faster
            (work / "root/usr/bin").rename(made)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise RefusedError(f"no runit on PATH, and no package of it: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def _quietly(*argv: str, folder: Path) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60, cwd=folder)
