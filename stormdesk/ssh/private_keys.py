"""Key files: the key, or one sentence that says what is wrong and what to type. There is never a passphrase prompt."""

from __future__ import annotations

import base64
import io
import os
import re
import stat
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from stormdesk.core.errors import UsageError
from stormdesk.core.shell import words
from stormdesk.core.values import shown

MOST = 1 << 16  # bytes; no key is larger
_OPENSSH = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END")
_MAGIC = b"openssh-key-v1\0"
_PUBLIC = re.compile(
    rb"\s*((ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*|-----BEGIN [A-Z ]*PUBLIC KEY|---- BEGIN SSH2 PUBLIC)"
)
_ANOTHER = "Make another: ssh-keygen -t ed25519"
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_CLASSES: tuple[tuple[type, type[paramiko.PKey]], ...] = (
    (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
    (rsa.RSAPrivateKey, paramiko.RSAKey),
    (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
)


@dataclass(frozen=True)
class KeyFile:
    """The content of a key file: the key, or why it cannot be used alone. `public` is its public half, b"" if unknown."""

    path: str
    key: paramiko.PKey | None = None
    public: bytes = b""
    problem: str = ""

    @property
    def why(self) -> str:
        """One line: what is wrong with which key, and what to type."""
        return f"cannot read the SSH key {self.path}: {self.problem}"


def private_key(path: str) -> paramiko.PKey:
    """The key in a file. Raises UsageError if there is none."""
    found = read(path)
    if found.key is None:
        raise UsageError(found.why)
    return found.key


def read(path: str) -> KeyFile:
    """The content of a file, cached while the file and its .pub are unchanged."""
    try:
        state = os.stat(path)
        if stat.S_ISDIR(state.st_mode):
            return KeyFile(path, problem="it is a folder. Name the key file in it")
        if not stat.S_ISREG(state.st_mode):
            return KeyFile(path, problem="it is no regular file. Name a key file")
        return _parsed(path, (state.st_ino, state.st_mtime_ns), public_half(f"{path}.pub"))
    except OSError as error:
        beside = public_half(f"{path}.pub")
        return KeyFile(
            path,
            public=beside,
            problem=f"{error.strerror}. Name one that you may read: IdentityFile",
        )
    except ValueError:
        return KeyFile(shown(path), problem="that is no path. Name a key file")


def public_half(path: str) -> bytes:
    """The public key or certificate in a .pub file; b"" when there is no such file."""
    try:
        return _blob(Path(path).read_bytes()[:MOST])
    except OSError:
        return b""


def kind(blob: bytes) -> str:
    """The type of a public key or certificate, e.g. ssh-ed25519."""
    return paramiko.Message(blob).get_text() if len(blob) > 4 else ""


def certified(certificate: bytes) -> bytes:
    """The public key of a certificate; b"" when it is not a certificate."""
    if not kind(certificate).endswith("-cert-v01@openssh.com"):
        return b""
    name = kind(certificate).removesuffix("-cert-v01@openssh.com")
    message = paramiko.Message(certificate)
    message.get_string()
    message.get_string()  # the nonce
    fields = {"ssh-rsa": 2, "ssh-ed25519": 1, "ssh-dss": 4}.get(name, 3 if name.startswith("sk-ecdsa") else 2)
    plain = paramiko.Message()
    plain.add_string(name)
    for _ in range(fields):
        plain.add_string(message.get_string())
    return plain.asbytes()


def _blob(text: bytes) -> bytes:
    parts = text.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
        return blob if kind(blob).encode() == parts[0] else b""
    except (IndexError, ValueError):
        return b""


@cache
def _parsed(path: str, _version: tuple[int, int], beside: bytes) -> KeyFile:
    with open(path, "rb") as file:
        text = file.read(MOST + 1).removeprefix(b"\xef\xbb\xbf")
    public = _inside(text) or beside
    problem = _problem(path, text, kind(public))
    if problem:
        return KeyFile(path, None, _blob(text) or public, problem)
    try:
        loaded = _load(text)
        if isinstance(loaded, dsa.DSAPrivateKey):
            return KeyFile(path, None, public, f"it is a DSA key, which no sshd takes any more. {_ANOTHER}")
        if isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.curve.name not in _CURVES:
            return KeyFile(path, None, public, f"no SSH key is on the curve {loaded.curve.name}. {_ANOTHER}")
        made = next((made for given, made in _CLASSES if isinstance(loaded, given)), None)
        if made is None:
            return KeyFile(path, None, public, f"no SSH key is of its type. {_ANOTHER}")
        pem, openssh = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
        plain = loaded.private_bytes(pem, openssh, serialization.NoEncryption()).decode()
        key = made.from_private_key(io.StringIO(plain))
    except TypeError:
        locked = f"it has a passphrase, and the ssh-agent does not hold it. Type: ssh-add {words((path,))}"
        return KeyFile(path, None, public, locked)
    except UnsupportedAlgorithm:
        return KeyFile(
            path,
            None,
            public,
            f"its type or cipher is not supported. Load it into the ssh-agent: ssh-add {words((path,))}",
        )
    except Exception:  # noqa: BLE001 -- whatever is in the file, the user gets one line
        return KeyFile(path, None, public, f"it is no private key that can be read. {_ANOTHER}")
    return KeyFile(path, key, key.asbytes())


def _problem(path: str, text: bytes, name: str) -> str:
    """Problems that can be seen before a file is parsed."""
    if not text.strip():
        return f"it is empty. {_ANOTHER}"
    if len(text) > MOST:
        return "it is too large for a key. Name a private key"
    if text.startswith(b"PuTTY-User-Key-File"):
        return f"it is a PuTTY key. Convert it: puttygen {words((path,))} -O private-openssh -o {words((path + '.openssh',))}"
    if _PUBLIC.match(text):
        return f"it is a public key. Name the private one: {path.removesuffix('.pub') if path.endswith('.pub') else 'IdentityFile'}"
    if name == "ssh-dss" or b"BEGIN DSA PRIVATE KEY" in text:
        return f"it is a DSA key, which no sshd takes any more. {_ANOTHER}"
    if name.startswith("sk-"):
        return f"it is a FIDO key, which only the ssh-agent can use, and it does not hold it. Type: ssh-add {words((path,))}"
    return ""


def _load(text: bytes) -> Any:
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        return serialization.load_ssh_private_key(text, None)
    return serialization.load_pem_private_key(text, None)


def _inside(text: bytes) -> bytes:
    """The public half, which OpenSSH's format stores in front, readable without the passphrase."""
    found = _OPENSSH.search(text)
    try:
        data = base64.b64decode(b"".join(found[1].split()), validate=True) if found else b""
        if not data.startswith(_MAGIC):
            return b""
        at = len(_MAGIC)
        for _ in range(3):  # cipher, kdf, its options
            at += 4 + struct.unpack_from(">I", data, at)[0]
        at += 4  # how many keys
        size = struct.unpack_from(">I", data, at)[0]
        return data[at + 4 : at + 4 + size]
    except (ValueError, struct.error):
        return b""
