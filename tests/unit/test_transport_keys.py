"""Key files: the usable ones, and the one-line error for others. Real files, written by OpenSSH and OpenSSL."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448

from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import InventoryHost
from stormdesk.infra import home
from stormdesk.infra import keys as pairs
from stormdesk.ssh import agent, private_keys
from stormdesk.ssh.identities import Identities
from stormdesk.ssh.private_keys import private_key

PPK = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\n"
SK = b"\0\0\0\x1ask-ssh-ed25519@openssh.com\0\0\0\x20" + b"k" * 32 + b"\0\0\0\4ssh:"


def made(path: Path, kind: str, secret: str = "", form: str = "") -> Path:
    """A key file by ssh-keygen: kind, passphrase, and PEM or PKCS8 instead of OpenSSH's own form."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", secret, "-f", str(path), *(["-m", form] if form else [])],
        check=True, timeout=30, capture_output=True,
    )  # fmt: skip
    return path


def host(**changes: object) -> InventoryHost:
    values = {"name": "a", "role": "r", "address": "192.0.2.1", "host_key": "ssh-ed25519 AAAA", "identity_file": ""}
    return InventoryHost(**{**values, **changes})  # type: ignore[arg-type]


def test_a_key_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path, seen = tmp_path / "id_ed25519", []
    for _ in range(2):
        pair = pairs.generate()
        home.write(path, pair.private)
        assert private_key(str(path)) is private_key(str(path))
        seen.append(private_key(str(path)).get_base64())
        assert seen[-1] == pair.public.split()[1]
    assert seen[0] != seen[1]


def test_an_invalid_key_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("what")
    for path in (tmp_path / "key", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="cannot read the SSH key"):
            private_key(str(path))


@pytest.mark.parametrize("form", ["", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_case_C53_a_key_is_read_in_every_form_that_openssh_writes(tmp_path: Path, kind: str, form: str) -> None:
    path = made(tmp_path / "key", kind, form=form)
    assert private_key(str(path)).get_base64() == path.with_suffix(".pub").read_text().split()[1]


@pytest.mark.parametrize("form", ["", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_case_C53_a_passphrase_is_said_and_ssh_add_typed(tmp_path: Path, kind: str, form: str) -> None:
    path = made(tmp_path / "my key", kind, "secret", form)
    with pytest.raises(UsageError) as caught:
        private_key(str(path))
    said = f"cannot read the SSH key {path}: it has a passphrase, and the ssh-agent does not hold it."
    assert str(caught.value) == f"{said} Type: ssh-add '{path}'"


def test_case_C53_the_public_half_of_a_locked_key_is_known_without_its_pub_file(tmp_path: Path) -> None:
    path = made(tmp_path / "key", "ed25519", "secret")
    blob = private_keys.public_half(f"{path}.pub")
    path.with_suffix(".pub").unlink()
    assert private_keys.read(str(path)).public == blob != b""


def pem(key: ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey | ed448.Ed448PrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def openssh_of(public: bytes) -> bytes:
    """As OpenSSH writes a key whose private half we cannot make, such as a FIDO key."""
    import base64
    import struct

    def part(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    head = b"openssh-key-v1\0" + part(b"none") + part(b"none") + part(b"") + struct.pack(">I", 1)
    text = base64.encodebytes(head + part(public) + part(b"x" * 64))
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + text + b"-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"it is empty\. .*ssh-keygen"),
        (b" \n\n", r"it is empty"),
        (PPK.encode(), r"it is a PuTTY key\. Convert it: puttygen "),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAB me\n", r"it is a public key\. Name the private one"),
        (b"sk-ssh-ed25519@openssh.com AAAA me\n", r"it is a public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", r"it is a public key"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n", r"it is a public key"),
        (pem(dsa.generate_private_key(2048)), r"it is a DSA key.* ssh-keygen -t ed25519$"),
        (b"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n", r"it is a DSA key"),
        (pem(ec.generate_private_key(ec.SECP256K1())), r"no SSH key is on the curve secp256k1"),
        (pem(ec.generate_private_key(ec.BrainpoolP256R1())), r"no SSH key is on the curve brainpool"),
        (pem(ed448.Ed448PrivateKey.generate()), r"no SSH key is of its type"),
        (openssh_of(SK), r"it is a FIDO key, which only the ssh-agent can use.* ssh-add "),
        (openssh_of(b"\0\0\0\7ssh-dss"), r"it is a DSA key"),
        (openssh_of(b""), r"no private key that can be read"),
        (openssh_of(b"\0\0\0\xffx"), r"no private key that can be read"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", r"no private key that can be read"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", r"no private key that can be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", r"no private key that can be read"),
        (os.urandom(500), r"no private key that can be read"),
        (b"\xff\xfe-\0-\0", r"no private key that can be read"),
        (b"x" * (private_keys.MOST + 1), r"too large"),
    ],
)
def test_case_C53_an_unusable_key_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        private_key(str(path))
    assert re.match(rf"cannot read the SSH key {re.escape(str(path))}: .*{said}", str(caught.value))
    assert str(caught.value).isprintable()


def test_case_C53_a_path_that_is_not_a_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("x")
    for path, said in {
        str(tmp_path): "it is a folder",
        str(tmp_path / "pipe"): "it is no regular file",
        str(tmp_path / "loop"): "Too many levels of symbolic links",
        str(tmp_path / "file/key"): "Not a directory",
        str(tmp_path / "nowhere"): "No such file or directory",
        f"{tmp_path}/{'x' * 300}": "File name too long",
        "a\0b": "that is no path",
        "/proc/self/mem": "",
    }.items():
        with pytest.raises(UsageError) as caught:
            private_key(path)
        assert said in str(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("typed", "socket"),
    [
        ("", "/run/a"), ("SSH_AUTH_SOCK", "/run/a"), ("none", ""), ("$MINE", "/run/b"), ("$NOWHERE", ""),
        ("${DIR}/agent", "/run/d/agent"), ("/run/c", "/run/c"),
    ],
)  # fmt: skip
def test_case_C53_the_agent_is_the_one_that_openssh_would_ask(typed: str, socket: str) -> None:
    assert agent.where(typed, {"SSH_AUTH_SOCK": "/run/a", "MINE": "/run/b", "DIR": "/run/d"}) == socket


def test_case_C53_no_key_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for where, said in {"": "there is no ssh-agent", str(tmp_path / "none"): "does not answer: .*No such file"}.items():
        identities = Identities(host(identity_agent=where))
        assert list(identities) == []
        assert re.search(said, str(identities.none()))
        assert str(identities.none()).isprintable()
