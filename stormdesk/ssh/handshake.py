"""The part of a connection before log-in: socket, algorithms, host key.

The host key must be the one in the inventory; nothing is trusted on first use.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
from typing import Any, ClassVar

import paramiko
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.ssh_exception import IncompatiblePeer

from stormdesk.core.errors import ConnectFailed, HostKeyMismatch, UsageError
from stormdesk.core.inventory import InventoryHost

KEEPALIVE_S = 5

# Safe and fast ones first. CBC, ChaCha20, SHA-1 and small Diffie-Hellman groups are never offered. Terrapin (CVE-2023-48795)
# does not apply: GCM uses no MAC, CTR with a plain MAC is not affected, and CTR with encrypt-then-MAC is used only under
# strict key exchange (no_terrapin), which every sshd since 9.6 and its backports supports.
_KEX = (
    *("curve25519-sha256", "curve25519-sha256@libssh.org", "mlkem768x25519-sha256"),
    *("ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "diffie-hellman-group16-sha512"),
)
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_ETM = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
_MACS = ("hmac-sha2-256", "hmac-sha2-512", *_ETM)
# What paramiko says when there is nothing in common -> the option of sshd_config, and some values that would work.
_NEEDED = {
    "kex": ("KexAlgorithms", "curve25519-sha256, ecdh-sha2-nistp256 or diffie-hellman-group16-sha512"),
    "cipher": ("Ciphers", "aes256-gcm@openssh.com or aes256-ctr"),
    "mac": ("MACs", "hmac-sha2-256-etm@openssh.com or hmac-sha2-256, also where a cipher needs none"),
}
_SIGNED_BY = {
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")
}  # a host key's type -> its signature algorithms, where the names differ

# paramiko's threads log tracebacks; our errors say it in one line. Only for our connections: a project may log its own.
LOG = "stormdesk.paramiko"
logging.getLogger(LOG).setLevel(logging.CRITICAL)


class QuickSocket:
    """A TCP socket without Nagle that acknowledges at once.

    Linux resets TCP_QUICKACK after a while, so it is set again at each read. Without both, the first channel of a
    connection waits 40 ms for sshd's Nagle against our delayed acknowledgement.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        with contextlib.suppress(OSError):  # the socket of a ProxyCommand may not be TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._quickack = getattr(socket, "TCP_QUICKACK", None)

    def recv(self, size: int) -> bytes:
        if self._quickack is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, self._quickack, 1)
        return self._sock.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


_EXCHANGES = {
    "curve25519-sha256": KexCurve25519,
    **paramiko.Transport._kex_info,  # type: ignore[attr-defined]  # noqa: SLF001 -- there is no other way to add a name
}


class Transport(paramiko.Transport):
    """paramiko's transport, extended by the RFC 8731 name of curve25519; paramiko knows only the older one."""

    _kex_info: ClassVar = _EXCHANGES


def new_transport(host: InventoryHost, sock: socket.socket) -> Transport:
    transport = Transport(QuickSocket(sock))  # type: ignore[arg-type]
    options = transport.get_security_options()
    options.kex = [name for name in _KEX if name in _EXCHANGES]  # ML-KEM needs a newer cryptography
    options.ciphers, options.digests = list(_CIPHERS), list(_MACS)
    kind = host_key(host)[0]
    try:
        options.key_types = list(_SIGNED_BY.get(kind, (kind,)))
    except ValueError as error:
        raise HostKeyMismatch(
            f"{host.name} at {host.target}: its host key is of type {kind}, which is not supported; ssh-ed25519, ecdsa-… and ssh-rsa are"
        ) from error
    transport.set_log_channel(LOG)
    transport.set_keepalive(KEEPALIVE_S)
    transport.daemon = True
    return transport


def host_key(host: InventoryHost) -> tuple[str, bytes]:
    """Type and bytes of the host key in the inventory. Raises UsageError."""
    kind, _, rest = host.host_key.partition(" ")
    try:
        return kind, base64.b64decode(rest.split()[0], validate=True)
    except (ValueError, IndexError) as error:
        raise UsageError(
            f"{host.name}: its host_key in the inventory must be <type> <base64>, as in known_hosts"
        ) from error


def no_terrapin(host: InventoryHost, transport: Transport) -> None:
    """Raises ConnectFailed if encrypt-then-MAC was agreed on with an sshd without strict key exchange."""
    ways = ((transport.local_cipher, transport.local_mac), (transport.remote_cipher, transport.remote_mac))  # type: ignore[attr-defined]
    strict = transport.agreed_on_strict_kex  # type: ignore[attr-defined]
    if not strict and any("gcm" not in cipher and mac in _ETM for cipher, mac in ways):
        raise ConnectFailed(
            f"{host.name} at {host.target}: its sshd is open to Terrapin (CVE-2023-48795) with the MACs that it allows. Upgrade it, "
            f"or allow aes256-gcm@openssh.com (Ciphers) or hmac-sha2-256 (MACs) there"
        )


def incompatible(host: InventoryHost, error: IncompatiblePeer) -> ConnectFailed:
    """The error for an sshd with no algorithm in common, with what it must allow."""
    if "host key" in str(error):
        kind = host.host_key.split()[0]
        return HostKeyMismatch(
            f"{host.name} at {host.target} has no {kind} host key, or must not show it (HostKeyAlgorithms). Name one that it "
            f"shows as host_key in the inventory: ssh-keyscan lists them. {error}"
        )
    option, needed = next((what for word, what in _NEEDED.items() if word in str(error)), ("", ""))
    hint = f"sshd there must allow {needed} ({option})" if option else str(error)
    return ConnectFailed(f"{host.name} at {host.target}: no algorithm in common: {hint}")
