"""The ssh-agent: its keys, and signatures with them (draft-ietf-sshm-ssh-agent). It never sees a script, and is not forwarded."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Mapping, Sequence

import paramiko
from paramiko.pkey import PublicBlob

from stormdesk.ssh import patience, private_keys

ANSWER_S = 5.0
SIGN_S = 30.0  # it may prompt its owner, or wait for a touch
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_RSA = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}


class AgentError(paramiko.SSHException):
    """The agent does not answer, or refuses."""


def where(identity_agent: str, environ: Mapping[str, str]) -> str:
    """The path of the agent's socket, read as OpenSSH reads IdentityAgent; "" for none."""
    if identity_agent == "none":
        return ""
    if identity_agent in ("", "SSH_AUTH_SOCK"):
        return environ.get("SSH_AUTH_SOCK", "")
    whole = re.fullmatch(r"\$(\w+)", identity_agent)
    if whole:
        return environ.get(whole[1], "")
    path = re.sub(r"\$\{(\w+)\}", lambda name: environ.get(name[1], ""), identity_agent)
    return os.path.expanduser(path)


def held(path: str) -> Sequence[bytes]:
    """The public keys and certificates that the agent holds, in its order; empty without an agent. Raises AgentError."""
    if not path:
        return ()
    answer = _ask(path, bytes([_LIST]), _LISTED, ANSWER_S)
    found = []
    for _ in range(answer.get_int()):
        found.append(answer.get_binary())
        answer.get_binary()  # its comment
    return found


class AgentKey(paramiko.PKey):
    """A key that the agent holds. `shown` is what the host sees: the key itself, or a certificate for it."""

    def __init__(self, path: str, blob: bytes, shown: bytes = b"") -> None:
        self._path = path
        self._blob = blob
        shown = shown or blob
        self.public_blob = PublicBlob(private_keys.kind(shown), shown)

    def get_name(self) -> str:  # type: ignore[explicit-override]  # from 3.12
        return private_keys.kind(self._blob)

    def asbytes(self) -> bytes:  # type: ignore[explicit-override]  # from 3.12
        return self._blob

    def can_sign(self) -> bool:  # type: ignore[explicit-override]  # from 3.12
        return True

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:  # type: ignore[explicit-override]  # from 3.12
        """The agent's signature. If the agent refuses, an empty one: the host then refuses it and the next key is tried."""
        flags = _RSA.get((algorithm or "").removesuffix("-cert-v01@openssh.com"), 0)
        request = paramiko.Message()
        request.add_byte(bytes([_SIGN]))
        request.add_string(self._blob)
        request.add_string(data)
        request.add_int(flags)
        try:
            return paramiko.Message(_ask(self._path, request.asbytes(), _SIGNED, SIGN_S).get_binary())
        except AgentError:
            return paramiko.Message()


def _ask(path: str, request: bytes, wanted: int, seconds: float) -> paramiko.Message:
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(patience.scaled(seconds))
            sock.connect(path)
            sock.sendall(struct.pack(">I", len(request)) + request)
            size = struct.unpack(">I", _read(sock, 4))[0]
            answer = paramiko.Message(_read(sock, min(size, 1 << 20)))
    except (OSError, ValueError) as error:
        raise AgentError(f"the ssh-agent at {path} does not answer: {error}") from error
    if answer.get_byte() != bytes([wanted]):
        raise AgentError(f"the ssh-agent at {path} refuses")
    return answer


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise OSError("it hung up")
        data += more
    return data
