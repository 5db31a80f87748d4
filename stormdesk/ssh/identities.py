"""Which keys a host is offered, in the order of ssh: certificates, named keys, other keys of the agent.

One difference: keys named in the inventory come before other keys of the agent, because sshd limits tries (MaxAuthTries).
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

MOST = 6  # keys that a host is offered; the default of sshd's MaxAuthTries


@dataclass(frozen=True)
class Identity:
    """A key to log in with, and its name for people."""

    name: str
    key: paramiko.PKey


class Identities:
    """The keys for one host. Iterating reads each key, and asks the agent, only when it is needed. `problems` lists unusable keys."""

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
        """The error for a host without any key to try."""
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
            key = copy.copy(own)  # the file's own key, without its certificate
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
