"""A release of a commit: wheel and sdist that are built twice, an SBOM, sums, and an audit of the pinned packages.

Needs a git checkout and its development packages.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stormdesk.core.errors import ExitCode, RefusedError

LOCKS = ("requirements.lock", "requirements-dev.lock")
SBOM, SUMS = "stormdesk.cdx.json", "SHA256SUMS"
# It has had an advisory since 2018 (CVE-2018-7750). Where that is not found, "nothing found" means nothing.
CONTROL = "paramiko==2.4.0\n"
Package = Mapping[str, Any]
BUILD_S = 300.0
AUDIT_S = 900.0


def release(root: Path, into: Path) -> int:
    """Write a release of the commit that is checked out at `root` into a new or empty folder, and print what was done.

    0; VIOLATED when a pinned package has a known vulnerability; REFUSED when nobody could say so: then the files are there, but not
    audited. Raises RefusedError when a file is not committed, a tool fails, or two builds differ.
    """
    if changed := _run(("git", "status", "--porcelain"), root):
        raise RefusedError(
            f"{changed.splitlines()[0][3:]} is not committed. A release is made of a commit: commit or stash it"
        )
    if into.is_dir() and any(into.iterdir()):
        raise RefusedError(f"{into} is not empty. Name another folder: --into FOLDER")
    into.mkdir(parents=True, exist_ok=True)
    for path in build(root, into):
        print(f"{path.name}: built twice, the same bytes")
    _run((sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--of", "JSON",
          "--pyproject", "pyproject.toml", "-o", str(into.resolve() / SBOM), LOCKS[0]), root)  # fmt: skip
    print(f"{SBOM}: CycloneDX, the packages of {LOCKS[0]}")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(into.iterdir())]
    (into / SUMS).write_text("".join(lines))
    print(f"{SUMS}: of {len(lines)} files")
    code, said = audit([root / name for name in LOCKS])
    print(said)
    return int(code)


def build(root: Path, into: Path) -> list[Path]:
    """Wheel and sdist of HEAD, each from two clean clones, dated by the commit. Raises RefusedError when the two differ."""
    date = _run(("git", "log", "-1", "--format=%ct"), root).strip()
    with tempfile.TemporaryDirectory(prefix="stormdesk-release-") as folder:
        clones = [Path(folder, name) for name in ("first", "another-place")]
        for clone in clones:
            _run(("git", "clone", "--quiet", "--no-hardlinks", str(root), str(clone)), root)
            _run((sys.executable, "-m", "hatchling", "build"), clone, {"SOURCE_DATE_EPOCH": date})
        first, second = ({path.name: path.read_bytes() for path in (clone / "dist").iterdir()} for clone in clones)
    if differ := sorted(name for name in {*first, *second} if first.get(name) != second.get(name)):
        raise RefusedError(f"two builds of one commit differ in {', '.join(differ)}. Nothing was written")
    for name, data in first.items():
        (into / name).write_bytes(data)
    return [into / name for name in sorted(first)]


def audit(locks: Sequence[Path]) -> tuple[ExitCode, str]:
    """Known vulnerabilities of what the locks pin, asked by pip-audit, as a verdict and a line that says so."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-audit-") as name:
        folder = Path(name)
        (folder / "control.txt").write_text(CONTROL)
        control = _asked(folder, "--no-deps", "-r", str(folder / "control.txt"))
        if not any(one.get("vulns") for one in control):
            return verdict(control, [])
        return verdict(
            control, _asked(folder, "--require-hashes", *(word for lock in locks for word in ("-r", str(lock))))
        )


def verdict(control: Sequence[Package], found: Sequence[Package]) -> tuple[ExitCode, str]:
    """HELD, VIOLATED, or REFUSED when the source of advisories does not know the one of the control, or not every package. Pure."""
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in (*control, *found) if "skip_reason" in one]
    if not any(one.get("vulns") for one in control):
        why = skipped[0] if skipped else "it has no advisory"
        return ExitCode.REFUSED, f"NOT AUDITED: no advisory of {CONTROL.strip()} could be had, so none of others. {why}"
    bad = [f"{one['name']} {one['version']} ({vuln['id']})" for one in found for vuln in one.get("vulns", ())]
    if bad:
        return ExitCode.VIOLATED, f"VULNERABLE: {', '.join(bad)}"
    if skipped or not found:
        return ExitCode.REFUSED, f"NOT AUDITED: {'; '.join(skipped) or 'nothing was checked'}"
    return ExitCode.HELD, f"audited: no known vulnerability in {len(found)} packages"


def _asked(folder: Path, *words: str) -> list[Package]:
    """What pip-audit says of each package: `name`, `version` and `vulns`, or a `skip_reason`. It answers from no cache."""
    into = folder / "answer.json"
    into.unlink(missing_ok=True)
    argv = (sys.executable, "-m", "pip_audit", "--disable-pip", "--progress-spinner", "off", "--cache-dir", str(folder / "cache"),
            "-f", "json", "-o", str(into), *words)  # fmt: skip
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=AUDIT_S, check=False)
        return list(json.loads(into.read_text())["dependencies"])
    except subprocess.TimeoutExpired:
        return [{"name": "pip-audit", "skip_reason": f"no answer within {AUDIT_S:.0f} s"}]
    except (OSError, ValueError, KeyError):
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        return [{"name": "pip-audit", "skip_reason": said[-1]}]


def _run(argv: Sequence[str], where: Path, env: Mapping[str, str] = {}) -> str:
    """Stdout of a command. Raises RefusedError with its last line when it fails."""
    try:
        done = subprocess.run(
            argv, cwd=where, env={**os.environ, **env}, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise RefusedError(f"{' '.join(argv[:4])}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
    return done.stdout
