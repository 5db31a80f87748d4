"""What `env.export` writes for Ansible and OpenSSH is read back as the same hosts, and faults run by it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stormdesk.drive import sources
from stormdesk.drive.pool import Pool
from stormdesk.infra import access, dialing, existing, home
from tests.e2e.invoking import ROOT
from tests.e2e.test_runs import eventually

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("format_", ["ansible", "ssh-config", "json"])
def test_an_export_reads_back_as_the_same_hosts(lab: str, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "exported"
    file.write_text(access.export(lab, format_))
    source = str(file) if format_ == "json" else f"{format_}:{file}"
    assert sources.read(source) == existing.load(lab)


@pytest.mark.parametrize("format_", ["ansible", "ssh-config"])
def test_a_fault_by_an_exported_inventory(lab: str, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "exported"
    file.write_text(access.export(lab, format_))
    words = ["chaos.disk-full", "--host", "store", "--percent", "50", "--for", "1s", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words, "--inventory", f"{format_}:{file}"],
        cwd=ROOT, env={**os.environ, "STORMDESK_RUNS": str(tmp_path)}, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "held"


def test_plain_pytest_takes_every_source(lab: str, tmp_path: Path) -> None:
    file = tmp_path / "exported"
    file.write_text(access.export(lab, "ansible"))
    words = ["-p", "no:cacheprovider", "-q", "checks/test_residue.py", "--inventory", f"ansible:{file}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_host_behind_another_one(lab: str, tmp_path: Path) -> None:
    """ProxyJump, and a ProxyCommand that talks over stdin and stdout: both end with their connection."""
    exported = tmp_path / "exported"
    exported.write_text(access.export(lab, "ssh-config"))
    directory = home.home() / "envs" / lab
    login = f"User root\n  HostKeyAlias store\n  IdentityFile {directory}/id_ed25519\n  UserKnownHostsFile {directory}/known_hosts\n"
    by_command = f"ProxyCommand ssh -F {shlex.quote(str(exported))} -W %h:%p ops"
    jump, plain = tmp_path / "jump", tmp_path / "plain"
    jump.write_text(
        f"# stormdesk environment {lab}\nInclude {exported}\nHost far\n  HostName 10.77.0.16\n  ProxyJump ops\n  {login}"
    )
    plain.write_text(f"# stormdesk environment {lab}\nHost far\n  HostName 10.77.0.16\n  {by_command}\n  {login}")
    for file in (jump, plain):
        inventory = sources.read(f"ssh-config:{file}")
        with Pool(inventory, dialing.dialer(inventory)) as pool:
            assert pool.run("far", ("hostname",), 20).stdout == "store\n"
            came_from = pool.run("far", ("sh", "-c", "echo ${SSH_CONNECTION%% *}"), 20).stdout.strip()
        assert came_from == "10.77.0.15"  # ops
    eventually(lambda: not _running(str(tmp_path)), 10)


def _running(word: str) -> list[str]:
    """Command lines of processes that have a word in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return [line for line in found if word in line]
