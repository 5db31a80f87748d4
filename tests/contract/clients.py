"""The clients' virtual environments, created once per lock file in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEADLINE_S = 900.0


def cache() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stormdesk" / "clients"


def python_of(client: str) -> Path:
    """The interpreter of a client's environment. Skips the test (on CI it fails) when it cannot be installed."""
    lock = HERE / f"{client}.lock"
    stamp = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache() / f"{client}-{stamp}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (cache() / f"{client}.flock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(lock, folder)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def _install(lock: Path, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=DEADLINE_S)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(lock)],
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"{lock.name} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
