"""The Pulumi engine, the program `pulumi` that the Automation API drives: which one is used, and how to get one.

Search order: PATH, ~/.pulumi, the result of an earlier `install` in the cache folder (STORMDESK_CACHE, else /var/cache/stormdesk,
else ~/.cache/stormdesk). Only `install` downloads or builds anything; see pulumi_build.py.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stormdesk.core.errors import RefusedError
from stormdesk.infra import pulumi_build
from stormdesk.infra.backends.lab import layer

if TYPE_CHECKING:
    from pulumi.automation import PulumiCommand

VERSION = "3.220.0"  # the version that is installed, and the oldest that is used
LAUNCHER = pulumi_build.LAUNCHER
OURS = "installed by Stormdesk"  # the source of an engine from `install`
INSTALL = "invoke doctor --install pulumi"
DEADLINE_S = 20.0  # for `pulumi version`, which takes a fraction of a second

Say = Callable[[str], None]


@dataclass(frozen=True)
class Engine:
    """An engine that answered. `version` without a v, e.g. "3.220.0"; `source` says where it was found, for people."""

    path: Path
    version: str
    source: str

    def environ(self) -> Mapping[str, str]:
        """Additions to the environment of the engine and of programs that start it.

        PATH begins with the engine's folder. An engine without the launcher for Python's dynamic providers beside it
        finds ours right behind that. The providers run on our own Python. GOGC: it starts many times and never lives long.
        """
        beside = {self.path.parent, self.path.resolve().parent}
        ours = [] if any((folder / LAUNCHER.name).exists() for folder in beside) else [str(LAUNCHER.parent)]
        return {
            "PATH": os.pathsep.join([str(self.path.parent), *ours, os.environ.get("PATH", os.defpath)]),
            "PULUMI_PYTHON_CMD": sys.executable,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "GOGC": os.environ.get("GOGC", "400"),
        }

    def has_plugin(self, name: str) -> bool:
        """Whether a resource plugin exists, on PATH or installed. The engine checks its version."""
        home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        on_path = shutil.which(f"pulumi-resource-{name}", path=self.environ()["PATH"])
        return bool(on_path) or any(home.glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}"))

    def command(self) -> PulumiCommand:
        """For `LocalWorkspaceOptions(pulumi_command=...)`: this engine, wherever it is."""
        from pulumi.automation import PulumiCommand
        from semver import VersionInfo

        command = PulumiCommand.__new__(PulumiCommand)  # its constructor only accepts a folder that has bin/pulumi
        command.command = str(self.path)
        command.version = VersionInfo.parse(self.version)
        return command


def find() -> Engine | None:
    """The engine that is used, or None. Runs `pulumi version` of the candidates, a fraction of a second each."""
    return next((found for _, found in _looks() if isinstance(found, Engine)), None)


def require() -> Engine:
    """The engine that is used. Without one, raises RefusedError with what was tried and what to type."""
    engine = find()
    if engine is None:
        raise RefusedError(
            f"no Pulumi engine here of version {VERSION} or newer ({'; '.join(account())}). Type: {INSTALL}"
            "   (or install Pulumi yourself; the lab also works with --engine direct)"
        )
    return engine


def account() -> Sequence[str]:
    """The candidates, in order, up to the engine that is used; one line each, for people."""
    lines = []
    for place, found in _looks():
        lines.append(f"{place}: {f'{found.version}, used' if isinstance(found, Engine) else found}")
        if isinstance(found, Engine):
            break
    return lines


def target() -> Path:
    """The folder that `install` would create. Raises RefusedError when it could not."""
    return _writable() / f"pulumi-{VERSION}"


def install(say: Say) -> Engine:
    """The engine that is used; downloads or builds one first when there is none (minutes, and the network).

    One at a time; all or nothing. RefusedError names each method that was tried, and why it failed.
    """
    engine = find() or _made(target(), say)
    say(f"Pulumi engine {engine.version}: {engine.path} ({engine.source})")
    return engine


def _made(folder: Path, say: Say) -> Engine:
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _alone(folder.parent / "pulumi.lock", say):
        if find() is None:
            pulumi_build.make(folder, VERSION, say)
    return require()


def version_of(said: str) -> str:
    """The version in the output of `pulumi version`, e.g. "v3.220.0-dev" -> "3.220.0"; "" when there is none."""
    match = re.match(r"\s*v?(\d+\.\d+\.\d+)", said)
    return match[1] if match else ""


def fits(version: str) -> bool:
    """An engine is usable if it is at least VERSION and of the same major version."""
    mine, theirs = _numbers(VERSION), _numbers(version)
    return mine[0] == theirs[0] and mine <= theirs


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _looks() -> Iterator[tuple[str, Engine | str]]:
    """(place, result): a usable engine, or why it is not usable. Lazy: later places are not checked."""
    on_path = shutil.which("pulumi")
    yield "PATH", _look(Path(on_path).absolute(), "PATH") if on_path else "none"
    home = Path.home() / ".pulumi"
    versions = [path for path in (home / "versions").glob("*/bin/pulumi") if version_of(path.parts[-3])]
    newest_first = sorted(versions, key=lambda path: _numbers(version_of(path.parts[-3])), reverse=True)
    for path in (home / "bin/pulumi", *newest_first):
        yield str(path), _look(path, "~/.pulumi")
    for folder in _caches():
        path = folder / f"pulumi-{VERSION}/bin/pulumi"
        yield str(path), _look(path, OURS)


def _look(path: Path, source: str) -> Engine | str:
    if not path.exists():
        return "none"
    environ = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [path, "version"],
            env=environ,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=DEADLINE_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    version = version_of(done.stdout)
    if done.returncode != 0 or not version:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return f"`{path} version` fails: {said[0]}"
    if not fits(version):
        return f"{path} is {version}, needed is {VERSION} or a newer {VERSION.partition('.')[0]}.x"
    return Engine(path, version, source)


def _caches() -> Sequence[Path]:
    """The folders of `install`: root's, and everyone else's. If a folder was chosen, only that one."""
    chosen = layer.cache()
    return [chosen] if os.environ.get("STORMDESK_CACHE") else [chosen, Path.home() / ".cache/stormdesk"]


def _writable() -> Path:
    for folder in _caches():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if there.is_dir() and os.access(there, os.W_OK):
            return folder
    tried = ", ".join(map(str, _caches()))
    raise RefusedError(
        f"no folder for the Pulumi engine: {tried} cannot be written. Set STORMDESK_CACHE to one that can"
    )


@contextmanager
def _alone(path: Path, say: Say) -> Iterator[None]:
    """Hold a lock. Its current holder is bounded by its own deadlines."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another install of the Pulumi engine is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
