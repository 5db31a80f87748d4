"""Which keys a host is shown, in which order: as ssh does it (certificates, the keys that are named, others of the agent).

One difference: keys that the inventory names come before those that the agent merely holds, since sshd counts (MaxAuthTries).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import paramiko
from paramiko.pkey import PublicBlob

from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import InventoryHost
from stormdesk.ssh import agent, private_keys

MOST = 6  # keys that a host is shown; sshd's own MaxAuthTries


@dataclass(frozen=True)
class Identity:
    """A key to log in with, and its name for people."""

    name: str
    key: paramiko.PKey


class Identities:
    """The keys for one host. Iterate: each is read, and the agent asked, when its turn comes. `problems` says what was of no use."""

    def __init__(self, host: InventoryHost) -> None:
        self._host = host
        self._socket = agent.where(host.identity_agent, os.environ)
        self._held: Sequence[bytes] | None = None
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Identity]:
        seen: set[bytes] = set()
        for identity in self._all():
            shown = getattr(identity.key, "public_blob", None)
            blob = shown.key_blob if shown else identity.key.asbytes()
            if blob not in seen:
                seen.add(blob)
                yield identity
            if len(seen) >= MOST:
                return

    def none(self) -> UsageError:
        """Why there was no key at all to try."""
        if self.problems:
            return UsageError("; ".join(self.problems))
        what = (
            "the ssh-agent holds no key. Type: ssh-add"
            if self._socket
            else "there is no ssh-agent: SSH_AUTH_SOCK is empty"
        )
        return UsageError(f"{self._host.name}: no key to log in with: no identity_file, and {what}")

    def _all(self) -> Iterator[Identity]:
        host = self._host
        paths = [path for path in (host.identity_file, *host.more_identity_files) if path]
        files = [private_keys.read(path) for path in paths]
        for path in (*host.certificate_files, *(f"{path}-cert.pub" for path in paths)):
            yield from self._certified(path, files, named=path in host.certificate_files)
        for file in files:
            yield from self._named(file)
        if not host.identities_only:
            yield from (
                Identity(f"{private_keys.kind(blob)} of the ssh-agent", agent.AgentKey(self._socket, blob))
                for blob in self._holds()
            )

    def _named(self, file: private_keys.KeyFile) -> Iterator[Identity]:
        if file.key is not None:
            yield Identity(file.path, file.key)
        elif file.public and file.public in self._holds():
            yield Identity(f"{file.path} (ssh-agent)", agent.AgentKey(self._socket, file.public))
        else:
            self.problems.append(file.why)

    def _certified(self, path: str, files: Sequence[private_keys.KeyFile], *, named: bool) -> Iterator[Identity]:
        certificate = private_keys.public_half(path)
        public = private_keys.certified(certificate)
        if not public:
            if named:
                self.problems.append(
                    f"cannot read the SSH certificate {path}: there is none in it. Name another: CertificateFile"
                )
            return
        own = next((file.key for file in files if file.public == public and file.key is not None), None)
        if own:
            key = copy.copy(own)  # the file's own is shown without its certificate
            key.public_blob = PublicBlob(private_keys.kind(certificate), certificate)
            yield Identity(path, key)
        elif public in self._holds():
            yield Identity(f"{path} (ssh-agent)", agent.AgentKey(self._socket, public, certificate))
        elif named:
            self.problems.append(
                f"the SSH certificate {path} is for a key that we do not have. Name the key: IdentityFile"
            )

    def _holds(self) -> Sequence[bytes]:
        if self._held is None:
            try:
                self._held = agent.held(self._socket)
            except agent.AgentError as error:
                self._held = ()
                self.problems.append(str(error))
        return self._held
