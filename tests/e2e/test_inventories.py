"""Exports of `env.export` for Ansible and OpenSSH read back as the same hosts, and faults run through them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from stormdesk.cli import sources
from stormdesk.cli.commands import exported
from stormdesk.cli.options import Options
from stormdesk.core import inventory as documents
from stormdesk.core.inventory import ServiceEntry
from stormdesk.infra import dialing, existing, home
from stormdesk.ssh.pool import Pool
from tests.support import zygote
from tests.support.desk import eventually
from tests.support.invoking import ROOT

pytestmark = pytest.mark.lab


def invoke(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A task that knows of no environment, its state and its runs in a folder."""
    environ = {**os.environ, "STORMDESK_HOME": str(folder / "state"), "STORMDESK_RUNS": str(folder)}
    return zygote.run(*words, env=environ)


@pytest.mark.parametrize("format_", ["ansible", "ssh-config", "json"])
def test_an_export_reads_back_as_the_same_hosts(lab: str, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "exported"
    file.write_text(exported(Options(lab), format_))
    source = str(file) if format_ == "json" else f"{format_}:{file}"
    assert sources.resolved(sources.read(source)) == existing.load(lab)


@pytest.mark.parametrize("format_", ["ansible", "ssh-config"])
def test_a_fault_by_an_exported_inventory(lab: str, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "exported"
    file.write_text(exported(Options(lab), format_))
    words = ("chaos.disk-full", "--host", "store", "--percent", "50", "--for", "1s", "--json")
    done = invoke(tmp_path, *words, "--inventory", f"{format_}:{file}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "held"


@pytest.mark.parametrize("format_", ["ansible", "ssh-config"])
def test_the_tasks_of_an_environment_take_an_inventory(lab: str, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "exported"
    file.write_text(exported(Options(lab), format_))
    there = ("--inventory", f"{format_}:{file}")
    done = invoke(tmp_path, "env.exec", *there, "--host", "venue", "--command", "hostname; exit 7")
    assert (done.returncode, done.stdout) == (7, "venue\n"), done.stderr
    done = invoke(tmp_path, "env.export", *there, "--format", "json")
    assert documents.parse(done.stdout, "exported") == existing.load(lab)
    again = tmp_path / "again"
    again.write_text(invoke(tmp_path, "env.export", *there, "--format", "ssh-config").stdout)
    assert sources.resolved(sources.read(f"ssh-config:{again}")) == existing.load(lab)
    known = list(
        (tmp_path / "state/inventories").glob("*/known_hosts")
    )  # of one host for env.exec, of all for env.export
    assert {path.stat().st_mode & 0o777 for path in known} == {0o600}
    assert [str(path) in again.read_text() for path in known].count(True) == 1
    assert sorted(len(path.read_text().splitlines()) for path in known) == [1, len(existing.load(lab).hosts)]


def test_the_status_of_hosts_that_are_no_environment(lab: str, tmp_path: Path) -> None:
    inventory = existing.load(lab)
    deaf = msgspec.structs.replace(inventory.hosts["ops"], port=9)
    unknown = msgspec.structs.replace(
        inventory.hosts["venue"], services={"gone": ServiceEntry(user="x", ports={"x": 9})}
    )
    hosts = {**inventory.hosts, "ops": deaf, "venue": unknown}
    file = tmp_path / "inventory.json"
    file.write_bytes(documents.render(msgspec.structs.replace(inventory, hosts=hosts)))
    done = invoke(tmp_path, "env.status", "--inventory", str(file), "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: (row["state"], row["ssh"], row["services"]) for row in json.loads(done.stdout)["hosts"]}
    assert rows.pop("ops") == ("unreachable", False, {})
    assert rows.pop("venue") == ("up", True, {"gone": False})
    assert rows == {
        name: ("up", True, dict.fromkeys(hosts[name].services, True))
        for name in ("feed", "trader-a", "trader-b", "store")
    }


def test_plain_pytest_takes_every_source(lab: str, tmp_path: Path) -> None:
    file = tmp_path / "exported"
    file.write_text(exported(Options(lab), "ansible"))
    words = ["-p", "no:cacheprovider", "-q", "checks/test_residue.py", "--inventory", f"ansible:{file}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_host_behind_another_one(lab: str, tmp_path: Path) -> None:
    """ProxyJump, and a ProxyCommand that talks over stdin and stdout: both end with their connection."""
    bare = tmp_path / "bare"
    bare.write_text(exported(Options(lab), "ssh-config"))
    directory = home.home() / "envs" / lab
    login = f"User root\n  HostKeyAlias store\n  IdentityFile {directory}/id_ed25519\n  UserKnownHostsFile {directory}/known_hosts\n"
    by_command = f"ProxyCommand ssh -F {shlex.quote(str(bare))} -W %h:%p ops"
    jump, plain = tmp_path / "jump", tmp_path / "plain"
    jump.write_text(
        f"# stormdesk environment {lab}\nInclude {bare}\nHost far\n  HostName 10.77.0.16\n  ProxyJump ops\n  {login}"
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
