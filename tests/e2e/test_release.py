"""A release: wheel and sdist that anybody can build again, an SBOM of all that is pinned, and an audit that never says "ok" unasked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stormdesk.cli import release
from stormdesk.core.errors import ExitCode, RefusedError
from tests.support.invoking import ROOT

HOOK = """
import secrets
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class Hook(BuildHookInterface):
    def initialize(self, version, data):
        open("small/made.py", "w").write(f"X = {secrets.randbits(64)}")
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "small"
version = "1"
"""
KNOWN = [{"name": "paramiko", "version": "2.4.0", "vulns": [{"id": "PYSEC-2018-17"}]}]
SOUND = {"name": "invoke", "version": "3.0.0", "vulns": []}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project with one commit."""
    (tmp_path / "project/small").mkdir(parents=True)
    root = tmp_path / "project"
    (root / "small/__init__.py").touch()
    (root / "pyproject.toml").write_text(PROJECT)
    commit(root)
    return root


def commit(root: Path) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "one")):
        subprocess.run(["git", *words], cwd=root, check=True, timeout=20)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a release is made of a commit, and this is no git checkout")
def test_two_builds_of_this_commit_are_the_same_bytes(tmp_path: Path) -> None:
    built = release.build(ROOT, tmp_path)
    assert [path.suffix for path in built] == [".whl", ".gz"]
    when = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    with zipfile.ZipFile(built[0]) as wheel:
        assert len(wheel.namelist()) > 300
        dates = {entry.date_time for entry in wheel.infolist()}
    assert len(dates) == 1, f"of the commit ({when.strip()}), not of the clones' files"


def test_two_builds_that_differ_are_no_release(small: Path, tmp_path: Path) -> None:
    assert len(release.build(small, tmp_path)) == 2
    (small / "hook.py").write_text(HOOK)
    (small / "pyproject.toml").write_text(f"{PROJECT}[tool.hatch.build.targets.wheel.hooks.custom]\npath = 'hook.py'\n")
    commit(small)
    (tmp_path / "out").mkdir()
    with pytest.raises(
        RefusedError, match=r"two builds of one commit differ in small-1-py2.py3-none-any.whl\. Nothing"
    ):
        release.build(small, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_not_committed_is_in_no_release(small: Path, tmp_path: Path) -> None:
    (small / "small/debris.py").touch()
    with pytest.raises(RefusedError, match=r"small/debris.py is not committed"):
        release.release(small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_source_of_advisories_all_is_written_and_nothing_is_called_sound(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in release.LOCKS:
        (small / name).write_bytes((ROOT / name).read_bytes())
    commit(small)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    into = tmp_path / "out"
    assert release.release(small, into) == ExitCode.REFUSED
    assert "NOT AUDITED: no advisory of paramiko==2.4.0" in capsys.readouterr().out.splitlines()[-1]
    assert {path.name for path in into.iterdir()} > {release.SBOM, release.SUMS, "small-1-py2.py3-none-any.whl"}
    subprocess.run(["sha256sum", "--check", "--strict", release.SUMS], cwd=into, check=True, timeout=20)

    bom = json.loads((into / release.SBOM).read_text())
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "small")
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / release.LOCKS[0]).read_text(), re.MULTILINE)
    assert {(one["name"], one["version"]) for one in bom["components"]} == set(pinned)
    assert len(pinned) > 40
    hashes = {
        entry["content"] for one in bom["components"] for ref in one["externalReferences"] for entry in ref["hashes"]
    }
    assert hashes == set(re.findall(r"--hash=sha256:(\w+)", (ROOT / release.LOCKS[0]).read_text()))

    with pytest.raises(RefusedError, match="is not empty"):
        release.release(small, into)


@pytest.mark.parametrize(
    ("control", "found", "code", "said"),
    [
        (KNOWN, [SOUND], ExitCode.HELD, "audited: no known vulnerability in 1 packages"),
        (KNOWN, [SOUND, *KNOWN], ExitCode.VIOLATED, "VULNERABLE: paramiko 2.4.0 (PYSEC-2018-17)"),
        (KNOWN, [SOUND, {"name": "a", "skip_reason": "unknown"}], ExitCode.REFUSED, "NOT AUDITED: a: unknown"),
        (KNOWN, [], ExitCode.REFUSED, "NOT AUDITED: nothing was checked"),
        (
            [{**KNOWN[0], "vulns": []}],
            [SOUND],
            ExitCode.REFUSED,
            "NOT AUDITED: no advisory of paramiko==2.4.0 could be had",
        ),
        ([{"name": "paramiko", "skip_reason": "404"}], [SOUND], ExitCode.REFUSED, "NOT AUDITED: no advisory"),
    ],
)
def test_a_package_is_sound_only_where_a_known_vulnerability_is_known(
    control: list[release.Package], found: list[release.Package], code: ExitCode, said: str
) -> None:
    assert release.verdict(control, found)[0] == code
    assert release.verdict(control, found)[1].startswith(said)


@pytest.mark.parametrize("name", release.LOCKS)
def test_every_package_is_pinned_by_its_hash(name: str) -> None:
    """As `pip install --require-hashes` wants it, and pip-audit reads it: nothing by a range, a URL or a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--dry-run", "--disable-pip", "--require-hashes", "-r", ROOT / name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count = len(re.findall(r"^[\w.-]+==", (ROOT / name).read_text(), re.MULTILINE))
    assert f"would have audited {count} packages" in done.stderr
