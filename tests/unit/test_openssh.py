"""Hosts of an ssh_config by the real `ssh -G`: tokens, known_hosts, and errors that concern only one host."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path

import pytest

from stormdesk.cli import sources
from stormdesk.core.errors import RefusedError, StormdeskError
from stormdesk.core.inventory import Inventory, InventoryHost

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
ME = pwd.getpwuid(os.getuid())
MACHINE = socket.gethostname()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "id").write_text("")
    (tmp_path / "known").write_text(f"192.0.2.1 {KEY}\n")
    return tmp_path


def read(folder: Path, *blocks: str) -> Inventory:
    """The hosts of these blocks; what they leave out, the last block says."""
    last = f"Host *\n  IdentityFile {folder}/id\n  UserKnownHostsFile {folder}/known\n  HostName 192.0.2.1\n"
    text = "\n".join(["# stormdesk environment desk", *blocks, last])
    (folder / "config").write_text(text, encoding="latin-1")
    return sources.read(f"ssh-config:{folder}/config")


def one(folder: Path, *lines: str) -> InventoryHost:
    """Host `one` with these options, beside one that has nothing of its own and must not mind."""
    found = read(folder, "\n  ".join(["Host one", *lines]), "Host plain")
    assert found.host("plain").address == "192.0.2.1"
    return found.host("one")


def why(folder: Path, *lines: str) -> str:
    """Why host `one` with these options cannot be used, in one line that names it."""
    with pytest.raises(StormdeskError) as caught:
        one(folder, *lines)
    said = str(caught.value)
    assert said.isprintable()
    assert "one" in said
    return said


IDENTITIES = {
    "${B}/k": "{folder}/k",
    "{folder}/%%": "{folder}/%",
    "{folder}/%n": "{folder}/one",
    "{folder}/%h": "{folder}/192.0.2.1",
    "{folder}/%p": "{folder}/2222",
    "{folder}/%r": "{folder}/ops",
    "{folder}/%k": "{folder}/alias",
    "{folder}/%u": f"{{folder}}/{ME.pw_name}",
    "{folder}/%i": f"{{folder}}/{ME.pw_uid}",
    "{folder}/%l": f"{{folder}}/{MACHINE}",
    "{folder}/%L": f"{{folder}}/{MACHINE.partition('.')[0]}",
    "{folder}/x%j": "{folder}/x",
    "{folder}/%r@%h:%p": "{folder}/ops@192.0.2.1:2222",
    '"{folder}/a b"': "{folder}/a b",
}


@pytest.mark.parametrize(("typed", "path"), IDENTITIES.items(), ids=IDENTITIES)
def test_case_C52_identity_files_take_all_tokens(
    folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, path: str
) -> None:
    monkeypatch.setenv("B", str(folder))
    there = Path(path.format(folder=folder))
    there.write_text("")
    (folder / "known").write_text(f"192.0.2.1,alias {KEY}\n")
    lines = ("HostKeyAlias alias", "Port 2222", "User ops", f"IdentityFile {typed.replace('{folder}', str(folder))}")
    assert one(folder, *lines).identity_file == str(there)


def test_case_C52_the_hash_of_a_connection_is_the_one_of_this_ssh(folder: Path) -> None:
    argv = ["ssh", "-G", "-o", "ControlPath=/%C", "-o", "HostName=192.0.2.1", "-l", "ops", "one"]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout
    (digest,) = [line.partition("/")[2] for line in said.splitlines() if line.startswith("controlpath ")]
    (folder / digest).write_text("")
    assert one(folder, "User ops", f"IdentityFile {folder}/%C").identity_file == f"{folder}/{digest}"


def test_case_C52_home_folders_are_those_of_the_users_whatever_HOME_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    for typed in ("~/.k", f"~{ME.pw_name}/.k", "%d/.k"):
        assert f"there is no {ME.pw_dir}/.k" in _only(folder, f"IdentityFile {typed}")


def _only(folder: Path, line: str) -> str:
    """Why a host cannot be used that has this line and no key beside it."""
    (folder / "id").unlink(missing_ok=True)
    found = read(folder, f"Host one\n  {line}")
    with pytest.raises(StormdeskError) as caught:
        found.host("one")
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("IdentityFile ${NOPE}/k", "${NOPE} is not set"),
        ("IdentityFile /%z", "ssh knows no %z"),
        ("IdentityFile ~nobody-here/k", "no such user: nobody-here"),
        ("UserKnownHostsFile ${NOPE}/k", "${NOPE}"),
        ("UserKnownHostsFile /%z", "%z"),
        ("UserKnownHostsFile ~nobody-here/k", "nobody-here"),
        ("ProxyCommand nc %z", "ssh knows no %z"),
        ("ProxyJump %d", "ssh knows no %d"),
        ("HostName %z", "%z"),
        ("HostName fe80::1%%eth0\n  HostKeyAlias 192.0.2.1", "address"),
        ("User a\xa7b", "user"),
        ("UserKnownHostsFile none", "no host key of 192.0.2.1 in any known_hosts file"),
        ("HostKeyAlias other", "no host key of other in"),
        ("HostName 192.0.2.9", "no host key of 192.0.2.9 in"),
        ("HostName 192.0.2.9\n  KnownHostsCommand /nowhere/at/all %H", "KnownHostsCommand ([Errno 2]"),
        ("KnownHostsCommand /bin/echo ${NOPE}", "${NOPE}"),
    ],
)
def test_case_C52_one_broken_host_never_stops_the_others(folder: Path, line: str, says: str) -> None:
    assert says in why(folder, f"{line}\n  GlobalKnownHostsFile /dev/null")


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("{bad}", "not JSON"),
        ('{"rule": 1}', "unknown rule"),
        ('{"services": 5}', "$.services"),
        ('{"role": "a b"}', "role"),
    ],
)
def test_case_C52_a_comment_of_ours_that_is_wrong_is_one_hosts_matter(folder: Path, comment: str, says: str) -> None:
    with pytest.raises(StormdeskError) as caught:
        one(folder, f"# stormdesk {comment}")
    assert says in str(caught.value)


def test_case_C52_a_block_that_ssh_itself_cannot_read_is_said_in_its_words(folder: Path) -> None:
    found = read(folder, "Host one\n  Nonsense yes")
    with pytest.raises(StormdeskError, match=r"host one: ssh says: .*[Bb]ad configuration option: nonsense"):
        found.host("one")


def test_case_C52_the_place_of_known_hosts_takes_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", str(folder))
    (folder / "known.d").mkdir()
    (folder / "known.d/al").write_text(f"al {OTHER}\n")
    assert one(folder, "HostKeyAlias al", "UserKnownHostsFile /none ${B}/known.d/%k").host_key == OTHER


@pytest.mark.parametrize(
    ("lines", "port", "known"),
    [
        (f"[192.0.2.1]:2222 {OTHER}\n192.0.2.1 {KEY}\n", 2222, OTHER),
        (f"192.0.2.1 {KEY}\n", 2222, KEY),  # as ssh does: without the port when nothing is known with it
        (f"192.0.2.1 {KEY}\n@revoked [192.0.2.1]:2222 {KEY}\n", 2222, ""),
        (f"[192.0.2.1]:2222 {KEY}\n", 22, ""),
        (f"@revoked * {OTHER}\n192.0.2.1 {OTHER}\n192.0.2.1 {KEY}\n", 22, KEY),
        (f"\xff\xfe\n\x00{OTHER}\n192.0.2.1 {KEY} \xe9t\xe9\n", 22, KEY),
        (f"|1|broken\n|1|x|y {OTHER}\n192.0.2.1 {KEY}", 22, KEY),
        (f"192.0.2.1\n192.0.2.1 {KEY.split(maxsplit=1)[0]}\n192.0.2.? {KEY}", 22, KEY),
    ],
)
def test_case_C52_which_lines_of_known_hosts_count(folder: Path, lines: str, port: int, known: str) -> None:
    (folder / "theirs").write_bytes(lines.encode("latin-1"))
    options = (f"Port {port}", f"UserKnownHostsFile {folder}/theirs", "GlobalKnownHostsFile /dev/null")
    if known:
        assert one(folder, *options).host_key == known
    else:
        assert "no host key of" in why(folder, *options)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (f"@cert-authority *.0.2.1 {KEY}\n", "but a line @cert-authority"),
        (f"@revoked * {KEY}\n192.0.2.1 {KEY}\n", "but one that is revoked"),
        ("192.0.2.1 ssh-dss AAAA\n", "but one of type ssh-dss"),
    ],
)
def test_case_C52_an_unusable_key_is_named(folder: Path, lines: str, says: str) -> None:
    (folder / "theirs").write_text(lines)
    assert says in why(folder, f"UserKnownHostsFile {folder}/theirs", "GlobalKnownHostsFile /dev/null")


def test_case_C52_a_known_hosts_file_that_cannot_be_read_is_named(folder: Path) -> None:
    options = ("UserKnownHostsFile /proc/self/mem", "GlobalKnownHostsFile /dev/null")
    assert "/proc/self/mem (Input/output error)" in why(folder, *options)
    assert one(folder, f"UserKnownHostsFile /proc/self/mem {folder}/known {folder}").host_key == KEY


def test_case_C52_a_known_hosts_command_is_asked_as_ssh_asks_it(folder: Path) -> None:
    script = folder / "keys"
    script.write_text(f'#!/bin/sh\necho "$*" >{folder}/asked\necho "$1" {OTHER}\n')
    script.chmod(0o755)
    found = one(folder, "HostKeyAlias al", f"KnownHostsCommand {script} %H %I %t %K %f %n %r", "User ops")
    assert found.host_key == OTHER
    assert (folder / "asked").read_text() == "al ORDER NONE NONE NONE one ops\n"


def test_case_C52_a_proxy_command_knows_the_name_that_was_typed(folder: Path) -> None:
    assert "nc one-192.0.2.1 al %h %p %r" in one(folder, "HostKeyAlias al", "Hostname 192.0.2.1",
        f"UserKnownHostsFile {_with(folder, 'al')}", "ProxyCommand nc %n-192.0.2.1 %k %h %p %r").proxy_command  # fmt: skip


def _with(folder: Path, name: str) -> Path:
    (folder / f"known-{name}").write_text(f"{name} {KEY}\n")
    return folder / f"known-{name}"


@pytest.mark.parametrize(
    "body",
    ["", "echo hostname", "echo hostname x; echo port y; echo user z", "printf '\\377\\n'", "exit 3", "kill -9 $$"],
)
def test_case_C52_invalid_output_of_ssh_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "bin/ssh").chmod(0o755)
    found = read(folder, "Host one")
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
    with pytest.raises(StormdeskError) as caught:
        found.host("one")
    assert str(caught.value).isprintable()
    assert "one" in str(caught.value)


def test_case_C52_ssh_is_asked_about_the_hosts_that_somebody_needs_and_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(f'#!/bin/sh\necho x >>{folder}/calls\nexec /usr/bin/ssh "$@"\n')
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    found = read(folder, *(f"Host h{number:04d}" for number in range(1000)), "Host bad\n  HostKeyAlias nope")
    assert len(found.hosts) == 1001
    assert not (folder / "calls").exists()
    for _ in range(3):
        assert found.host("h0500").host_key == KEY
        with pytest.raises(RefusedError, match="no host key of nope"):
            found.host("bad")
    assert (folder / "calls").read_text() == "x\nx\n"


def test_case_C52_an_include_with_a_comment_and_text_that_is_not_utf_8(folder: Path) -> None:
    (folder / "more").write_bytes(b"# caf\xe9\nHost included # too\n")
    assert sorted(read(folder, f'Include "{folder}/more" # here', "# \xe9").hosts) == ["included"]
