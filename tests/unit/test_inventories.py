"""Inventories of Ansible and OpenSSH, read as those tools read them; no unknown host key is trusted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.cli import inventories, sources
from stormdesk.cli.inventories import Way
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.infra import home
from tests.support import invoking
from tests.support.invoking import environ, run_all, trap

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"


@settings(max_examples=300, deadline=None, database=None)
@given(text=st.one_of(st.text(max_size=200), st.text("[]:= \n-a1{}\"'!&*#", max_size=60)))
def test_no_text_causes_a_traceback(text: str) -> None:
    try:
        found = inventories.ssh_config(text, "hosts", "/x")
    except UsageError:
        return
    assert found.hosts


def test_hosts_of_an_ssh_config() -> None:
    text = """
# stormdesk environment desk, until 2026-11-21T05:00:00Z
Host web-* !web-9
  User root
Host = one "two"
  # stormdesk {"role": "trader", "shares_kernel": true}
  HostName 192.0.2.1
Match host three
  # stormdesk {"role": "nobody"}
"""
    found = inventories.ssh_config(text, "config", "/etc/x")
    assert (found.environment, found.expires_at) == ("desk", "2026-11-21T05:00:00Z")
    assert [(host.name, host.way and host.way(), host.about) for host in found.hosts] == [
        (name, Way(name, ("-F", "/etc/x")), {"role": "trader", "shares_kernel": True}) for name in ("one", "two")
    ]
    with pytest.raises(UsageError, match="config:2: stormdesk: unknown rule"):
        inventories.ssh_config('Host a\n# stormdesk {"rule": 1}', "config", "/x")
    with pytest.raises(UsageError, match="which environment"):
        inventories.ssh_config("Host a\n", "config", "/x")


@pytest.mark.parametrize(
    ("line", "known"),
    [
        (f"web {KEY} comment", True),
        (f"other,web {KEY}", True),
        (f"w*b {KEY}", True),
        (f"WEB {KEY}", True),
        (f"*,!web {KEY}", False),
        (f"[web]:22 {KEY}", False),
        (f"# web {KEY}", False),
        (f"@cert-authority web {KEY}", False),
        (f"web {KEY}\n@revoked * {KEY}", False),
        ("web ssh-dss AAAA", False),
        ("|1|x|y " + KEY, False),
        ("web", False),
    ],
)
def test_which_lines_of_known_hosts_are_for_a_host(line: str, known: bool) -> None:
    assert inventories.host_key("web", [line]) == (KEY if known else "")


def test_keys_at_a_port_and_the_best_of_several() -> None:
    text = f"[192.0.2.1]:2222 ssh-rsa AAAAB3\n[192.0.2.1]:2222 {KEY}\n[192.0.2.1]:2222 {OTHER}"
    assert inventories.host_key("[192.0.2.1]:2222", [text]) == KEY
    assert inventories.host_key("[192.0.2.1]:2223", [text]) == ""


def test_hashed_names_as_ssh_keygen_makes_them(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"web {KEY}\n[192.0.2.1]:2222 {OTHER}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True, timeout=20)
    assert "web" not in file.read_text()
    assert inventories.host_key("web", [file.read_text()]) == KEY
    assert inventories.host_key("[192.0.2.1]:2222", [file.read_text()]) == OTHER
    assert inventories.host_key("192.0.2.1", [file.read_text()]) == ""


# ---- what ssh itself says of them --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A key, a known_hosts file and an ssh_config, in a folder with a blank in its name."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id%h")], check=True, timeout=20)
    (folder / "known").write_text(f"[192.0.2.1]:2222,alias {KEY}\n")
    (folder / "more").write_text('Host one\n  # stormdesk {"role": "engine"}\n  HostName 192.0.2.1\n  Port 2222\n')
    (folder / "config").write_text(
        f'# stormdesk environment desk\nInclude "{folder}/more"\nHost two\n  HostName 192.0.2.2\n  HostKeyAlias alias\n'
        f"  ProxyJump a@gate:2022,last\nHost *\n  User ops\n  IdentityFile /not/there\n"
        f'  IdentityFile "{folder}/id%%h"\n  UserKnownHostsFile /dev/null "{folder}/known" ~/.none\n'
    )
    return folder


def test_ssh_says_what_an_ssh_config_means(folder: Path) -> None:
    found = sources.read(f"ssh-config:{folder}/config")
    one, two = found.host("one"), found.host("two")
    assert (found.environment, one.target, one.host_key, one.role) == ("desk", "ops@192.0.2.1:2222", KEY, "engine")
    assert one.identity_file == str(folder / "id%h")
    assert one.proxy_command == ""
    assert (two.target, two.host_key, two.role) == ("ops@192.0.2.2:22", KEY, "host")
    assert f"-F '\"'\"'{folder}/config'\"'\"' -J a@gate:2022 -W" in two.proxy_command
    assert "ssh://last" in two.proxy_command


def test_ansible_goes_by_the_same_rules(folder: Path) -> None:
    hosts = folder / "hosts.ini"
    hosts.write_text(
        f"[engines]\none ansible_user=root ansible_ssh_common_args='-F \"{folder}/config\"'\n"
        "[all:vars]\nstormdesk_environment=desk\n"
    )
    found = sources.read(f"ansible:{hosts}").host("one")
    assert (found.target, found.host_key, found.role) == ("root@192.0.2.1:2222", KEY, "engines")


def test_a_host_whose_key_nobody_knows_is_refused_before_any_connection(folder: Path, tmp_path: Path) -> None:
    with trap() as there:
        (folder / "config").write_text(
            f"# stormdesk environment desk\nHost one\n  HostName 127.0.0.1\n  Port {there.port}\n"
            f'  IdentityFile "{folder}/id%%h"\n  UserKnownHostsFile "{folder}/known"\n  StrictHostKeyChecking no\n'
        )
        lines = [["chaos.disk-full", "--host", "one", "--inventory", f"ssh-config:{folder}/config"]]
        lines.append(["chaos.status", "--inventory", f"ssh-config:{folder}/config"])
        fault, status = run_all(lines, environ(tmp_path))
        assert (fault.code, status.code) == (3, 5)
        for said in (fault.err, status.out):
            assert f"no host key of [127.0.0.1]:{there.port} or 127.0.0.1 in {folder}/known" in " ".join(said.split())
        assert there.count == 0


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("ansible:nowhere", "No such file"),
        ("ssh-config:nowhere", "No such file"),
        ("ansible:", "which file or directory"),
        ("odd:thing", "No such file"),
    ],
)
def test_a_file_that_is_not_there_is_named(source: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sources.read(source)


def test_a_missing_key_is_reported(folder: Path) -> None:
    (folder / "id%h").unlink()
    with pytest.raises(UsageError, match="no key to log in with: there is no /not/there"):
        sources.read(f"ssh-config:{folder}/config").host("one")


def test_a_missing_ssh_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shutil.which("ssh")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RefusedError, match="apt-get install openssh-client"):
        sources.read(f"ssh-config:{folder}/config").host("one")


def test_of_hosts_that_are_no_environment_the_files_of_the_last_fifty_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORMDESK_HOME", str(tmp_path))
    for number in range(home.KEPT_INVENTORIES + 3):
        newest = home.noted(invoking.inventory(2000 + number, "/nowhere/id"))
    folders = list((tmp_path / "inventories").iterdir())
    assert len(folders) == home.KEPT_INVENTORIES
    assert newest in folders


def test_case_C53_the_identities_come_from_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several keys, certificates, the agent: as `ssh -G` says them."""
    for name in ("one", "two", "cert"):
        (folder / name).write_text("x")
    (folder / "token.pub").write_text("ssh-ed25519 AAAA")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    text = (
        f'# stormdesk environment staging\nHost *\n  UserKnownHostsFile "{folder}/known"\n  HostKeyAlias h\n'
        f'Host a\n  IdentityFile "{folder}/one"\n  IdentityFile "{folder}/none"\n  IdentityFile "{folder}/two"\n'
        f'  IdentityFile "{folder}/token"\n  CertificateFile "{folder}/cert"\n  IdentitiesOnly yes\n'
        f"  IdentityAgent ~/agent\n"
        f'Host b\n  IdentityFile "{folder}/none"\n'
        f'Host c\n  IdentityFile "{folder}/one"\n  IdentityAgent none\n'
        f'Host d\n  IdentityFile "{folder}/none"\n  IdentityAgent $MINE\n'
    )
    monkeypatch.setenv("MINE", "/run/mine")
    (folder / "known").write_text(
        "h ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    )
    (folder / "config").write_text(text)
    hosts = sources.read(f"ssh-config:{folder}/config")
    a, b, c, d = map(hosts.host, "abcd")
    assert (a.identity_file, a.more_identity_files) == (f"{folder}/one", (f"{folder}/two", f"{folder}/token"))
    assert (a.certificate_files, a.identities_only) == ((f"{folder}/cert",), True)
    assert a.identity_agent == str(Path("~/agent").expanduser())
    assert (b.identity_file, b.identity_agent) == ("", "")
    assert (c.identity_file, c.identity_agent) == (f"{folder}/one", "none")
    assert (d.identity_file, d.identity_agent) == ("", "$MINE")


def test_case_C53_a_host_known_by_a_certificate_only_is_reported(folder: Path) -> None:
    (folder / "known").write_text("@cert-authority *.example.com ssh-ed25519 AAAA\n")
    (folder / "id").write_text("x")
    (folder / "config").write_text(
        f'# stormdesk environment s\nHost a.example.com\n  IdentityFile "{folder}/id"\n  UserKnownHostsFile "{folder}/known"\n'
    )
    with pytest.raises(
        RefusedError, match=r"a line @cert-authority, which Stormdesk cannot verify: add the host's own key"
    ):
        sources.read(f"ssh-config:{folder}/config").host("a.example.com")
