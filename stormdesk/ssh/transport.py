"""SSH by paramiko: one connection per host, one `sh -s` kept open on it, a deadline on everything.

Rules:
1. The host key is the one the inventory names; nothing is ever trusted on first use.
2. A script is one write to the open shell; its answer is framed by a random mark on both streams. One round trip.
3. Both streams are drained together: 8 MB on stderr must not stop a command (the window of a channel is 2 MiB).
4. After a deadline or a lost link the shell is closed, never used again; what the host did meanwhile is unknown.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import random
import re
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import paramiko
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.ssh_exception import IncompatiblePeer

from stormdesk.core.errors import ConnectFailed, ConnectionLost, DeadlineExceeded, HostKeyMismatch, UsageError
from stormdesk.core.inventory import InventoryHost
from stormdesk.core.model import Completed
from stormdesk.core.values import printable
from stormdesk.ssh import noshell, patience
from stormdesk.ssh.identities import Identities
from stormdesk.ssh.signals import safe_point, whole

Dialer = Callable[[InventoryHost, float], socket.socket]

CONNECT_TIMEOUT_S = 30.0  # for a connection, from TCP to log-in and with all its tries; and again for its shell
DIAL_S = 5.0  # of which for one try of TCP, or of the ProxyCommand
TRIES = 3
BUSY_TRIES = 10  # where sshd hangs up before it says a word, as it does when too many log in at once (MaxStartups)
KEEPALIVE_S = 5
# One pipe tells of both streams, and paramiko changes it under a lock for each: when both move at once, it may miss one.
LOOK_S = 0.1

# Safe and fast first. CBC, ChaCha20, SHA-1 and small Diffie-Hellman groups are never offered. Terrapin (CVE-2023-48795)
# has nothing to work on: GCM has no use for a MAC, CTR with a plain MAC is not affected, and CTR with encrypt-then-MAC is
# used only where both sides have agreed on strict key exchange (_no_terrapin), as every sshd since 9.6 and its backports do.
_KEX = (
    *("curve25519-sha256", "curve25519-sha256@libssh.org", "mlkem768x25519-sha256"),
    *("ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "diffie-hellman-group16-sha512"),
)
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_ETM = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
_MACS = ("hmac-sha2-256", "hmac-sha2-512", *_ETM)
# What paramiko says when there is nothing in common -> the option of sshd_config, and some of what it may have.
_NEEDED = {
    "kex": ("KexAlgorithms", "curve25519-sha256, ecdh-sha2-nistp256 or diffie-hellman-group16-sha512"),
    "cipher": ("Ciphers", "aes256-gcm@openssh.com or aes256-ctr"),
    "mac": ("MACs", "hmac-sha2-256-etm@openssh.com or hmac-sha2-256, also where a cipher needs none"),
}
_SIGNED_BY = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}  # a host key's type -> algorithms, where the names differ

# paramiko's threads log tracebacks, and our errors say it in one line. Ours alone: a project may log its own connections.
LOG = "stormdesk.paramiko"
logging.getLogger(LOG).setLevel(logging.CRITICAL)


# For the login shell, whichever it is: rbash knows no exec, csh and fish no sh syntax; bash and dash exec it by themselves.
_LOG_IN = "sh -s"
# What an environment may bring along for sh. The mark is in two words, so that an echo of this line is not taken for it.
_HELLO = "set +Cefuvx; unset CDPATH ENV BASH_ENV TMOUT; printf '%s%s\\n' {mark}; printf '%s%s\\n' {mark} >&2\n"


class QuickSocket:
    """A TCP socket without Nagle that acknowledges at once.

    Linux forgets TCP_QUICKACK after a while, so it is set again at each read. Without both, the first channel of a
    connection waits 40 ms for sshd's Nagle against our delayed acknowledgement.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        with contextlib.suppress(OSError):  # a ProxyCommand may have given a socket that is not TCP
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


class _Transport(paramiko.Transport):
    """paramiko's, which knows curve25519 by the name that it had before RFC 8731 alone."""

    _kex_info: ClassVar = _EXCHANGES


def _transport(host: InventoryHost, sock: socket.socket) -> _Transport:
    transport = _Transport(QuickSocket(sock))  # type: ignore[arg-type]
    options = transport.get_security_options()
    options.kex = [name for name in _KEX if name in _EXCHANGES]  # ML-KEM needs a newer cryptography
    options.ciphers, options.digests = list(_CIPHERS), list(_MACS)
    kind = _host_key(host)[0]
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


def _host_key(host: InventoryHost) -> tuple[str, bytes]:
    """Type and bytes of the key that the inventory names. Raises UsageError."""
    kind, _, rest = host.host_key.partition(" ")
    try:
        return kind, base64.b64decode(rest.split()[0], validate=True)
    except (ValueError, IndexError) as error:
        raise UsageError(
            f"{host.name}: its host_key in the inventory must be <type> <base64>, as in known_hosts"
        ) from error


def _connect_once(host: InventoryHost, dialer: Dialer, until: float, dial_s: float) -> paramiko.Transport:
    expected = _host_key(host)
    sock = dialer(host, min(dial_s, _left(until)))
    try:
        transport = _transport(host, sock)
    except BaseException:
        sock.close()
        raise
    # Every wait of the handshake ends: a host that accepts and then says nothing is no better than one that refuses.
    transport.banner_timeout = transport.handshake_timeout = _left(until)
    transport.auth_timeout = _left(until) + LOOK_S  # then its own end has been said, which is no refusal of a key
    try:
        _bounded(lambda: transport.start_client(timeout=_left(until)), transport, until)
        _no_terrapin(host, transport)
        given = transport.get_remote_server_key()
        if (given.get_name(), given.asbytes()) != expected:
            raise HostKeyMismatch(
                f"{host.name} at {host.target} shows another host key than the inventory's: refused, nothing was sent"
            )
        _log_in(host, transport, until)
    except BaseException:
        transport.close()
        raise
    return transport


def _no_terrapin(host: InventoryHost, transport: _Transport) -> None:
    """Raises ConnectFailed where encrypt-then-MAC was agreed on with an sshd that knows no strict key exchange."""
    ways = ((transport.local_cipher, transport.local_mac), (transport.remote_cipher, transport.remote_mac))  # type: ignore[attr-defined]
    strict = transport.agreed_on_strict_kex  # type: ignore[attr-defined]
    if not strict and any("gcm" not in cipher and mac in _ETM for cipher, mac in ways):
        raise ConnectFailed(
            f"{host.name} at {host.target}: its sshd is open to Terrapin (CVE-2023-48795) with the MACs that it allows. Upgrade it, "
            f"or allow aes256-gcm@openssh.com (Ciphers) or hmac-sha2-256 (MACs) there"
        )


def _incompatible(host: InventoryHost, error: IncompatiblePeer) -> ConnectFailed:
    """What sshd must allow."""
    if "host key" in str(error):
        kind = host.host_key.split()[0]
        return HostKeyMismatch(
            f"{host.name} at {host.target} has no {kind} host key, or must not show it (HostKeyAlgorithms). Name one that it "
            f"shows as host_key in the inventory: ssh-keyscan lists them. {error}"
        )
    option, needed = next((what for word, what in _NEEDED.items() if word in str(error)), ("", ""))
    hint = f"sshd there must allow {needed} ({option})" if option else str(error)
    return ConnectFailed(f"{host.name} at {host.target}: no algorithm in common: {hint}")


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)


def _bounded(act: Callable[[], object], transport: paramiko.Transport, until: float) -> None:
    """Do something with a transport that must be done at an instant of the monotonic clock; else it is closed, and TimeoutError.

    In a thread of its own, for paramiko does not limit all of its waits, and a signal is to end them.
    """
    failed: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 -- raised again by whoever waits
            failed.append(error)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    while not done.wait(min(_left(until), LOOK_S)):
        safe_point()
        if time.monotonic() >= until:
            transport.close()
            raise TimeoutError("no answer in time")
    if failed:
        raise failed[0]


def _log_in(host: InventoryHost, transport: paramiko.Transport, until: float) -> None:
    """Show the host one key after the other until it takes one. Raises UsageError when there is none."""
    identities = Identities(host)
    tried: list[str] = []
    for identity in identities:
        try:
            more = _authenticated(transport, host, identity.key, until)
        except paramiko.BadAuthenticationType as error:
            raise ConnectFailed(
                _refusal(host, tried, f"it takes {' or '.join(error.allowed_types)}, and no keys")
            ) from error
        except paramiko.AuthenticationException as error:
            tried.append(identity.name)
            if transport.is_active():
                continue
            raise ConnectFailed(_refusal(host, tried, f"it hung up{_banner(transport)} ({error})")) from error
        if not more:
            return
        tried.append(identity.name)
        if "publickey" not in more:
            raise ConnectFailed(
                _refusal(
                    host, [], f"after the key {identity.name} it wants {' or '.join(more)} (AuthenticationMethods)"
                )
            )
    if not tried:
        raise identities.none()
    raise ConnectFailed(
        _refusal(host, tried, "; ".join(["Authentication failed", *identities.problems]) + _banner(transport))
    )


def _authenticated(
    transport: paramiko.Transport, host: InventoryHost, key: paramiko.PKey, until: float
) -> Sequence[str]:
    """What the host wants besides this key: nothing, mostly."""
    more: list[str] = []
    _bounded(lambda: more.extend(transport.auth_publickey(host.user, key)), transport, until)
    return more


def _refusal(host: InventoryHost, tried: Sequence[str], why: str) -> str:
    refused = f" refuses the key{'s' * (len(tried) > 1)} {', '.join(tried)}" if tried else " does not let us in"
    return f"{host.name} at {host.target}{refused}: {why}"


def _banner(transport: paramiko.Transport) -> str:
    """The last line of what sshd says to those who log in, as of an account that has expired."""
    said = (transport.get_banner() or b"").decode("utf-8", "replace")
    lines = [line.strip() for line in said.splitlines() if re.search(r"\w", line)]
    return f"; it says '{printable(lines[-1][:120])}'" if lines else ""


def connect(
    host: InventoryHost,
    dialer: Dialer,
    tries: int = TRIES,
    timeout_s: float = CONNECT_TIMEOUT_S,
    dial_s: float = DIAL_S,
) -> paramiko.Transport:
    """An authenticated connection, within `timeout_s`. Raises ConnectFailed (after `tries`) or HostKeyMismatch (at once)."""
    began = time.monotonic()
    until, attempt, busy, reason = began + timeout_s, 0, False, ""
    while attempt < tries or (busy and tries > 1 and attempt < BUSY_TRIES):
        safe_point()
        if attempt:
            time.sleep(min(random.uniform(0.3, 0.8) if busy else 0.3 * 2**attempt, _left(until)))
            if time.monotonic() >= until:
                break
        attempt += 1
        try:
            return _connect_once(host, dialer, until, dial_s)
        except paramiko.BadHostKeyException as error:
            raise HostKeyMismatch(f"{host.name} at {host.target}: {error}") from error
        except IncompatiblePeer as error:
            raise _incompatible(host, error) from error
        except paramiko.SSHException as error:
            reason = str(error)
            busy = "protocol banner" in reason
        except (OSError, EOFError) as error:
            reason = str(error) or type(error).__name__
    slow = f". {patience.hint()}" if time.monotonic() >= until else ""
    raise ConnectFailed(
        f"cannot reach {host.name} at {host.target}: {reason} after {attempt} tries in {time.monotonic() - began:.1f} s. "
        f"Try: invoke doctor --host {host.name}{slow}"
    )


class Shell:
    """An open `sh -s` on a host (through `sudo -n` for users other than root). One script at a time; not reusable once broken.

    It is sh that answers, and nothing has been sent to anything else: raises ConnectFailed when something else runs, and
    ConnectionLost when there is no answer within `timeout_s` (CONNECT_TIMEOUT_S).
    """

    def __init__(self, host: InventoryHost, transport: paramiko.Transport, timeout_s: float | None = None) -> None:
        self.host = host
        self.broken = False
        self._lock = threading.Lock()
        timeout_s = CONNECT_TIMEOUT_S if timeout_s is None else timeout_s
        until = time.monotonic() + timeout_s
        try:
            _bounded(lambda: self._open(transport, timeout_s), transport, until)
            self._greet(until)
        except TimeoutError as error:
            raise ConnectionLost(f"{host.name}: no shell within {timeout_s:g} s. {patience.hint()}") from error
        except paramiko.ChannelException as error:
            why = f"sshd opens no session: {error.text}. It must allow one: MaxSessions 1 or more"
            raise ConnectFailed(f"{host.name}: no shell: {why}") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise ConnectionLost(f"{host.name}: no shell: {error or 'the connection was lost'}") from error

    def _open(self, transport: paramiko.Transport, timeout_s: float) -> None:
        self._channel = transport.open_session(timeout=timeout_s)
        self._channel.exec_command(_LOG_IN if self.host.user == "root" else f"sudo -n {_LOG_IN}")

    def _greet(self, until: float) -> None:
        """Wait until sh itself answers on both streams, and drop what the login said before."""
        word = secrets.token_hex(8)
        hello = _HELLO.format(mark=f"'stormdesk-' {word}")
        mark = f"stormdesk-{word}\n".encode()
        out, err = bytearray(), bytearray()
        self._channel.settimeout(_left(until))
        with contextlib.suppress(OSError):  # it has ended: what it said tells why
            self._channel.sendall(hello.encode())
        while not (mark in out and mark in err):
            over = self._channel.closed or self._channel.eof_received
            if not self._drain(out, err) and over:
                raise ConnectFailed(self._no_shell(err or out))
            if hello.strip().encode() in out:
                raise ConnectFailed(self._no_shell(b"our own words"))
            if time.monotonic() >= until:
                if out or err:
                    raise ConnectFailed(self._no_shell(err or out))
                raise TimeoutError
            safe_point()
            select.select([self._channel], [], [], min(_left(until), LOOK_S))

    def _no_shell(self, said: bytes | bytearray) -> str:
        self._channel.status_event.wait(
            10 * LOOK_S if self._channel.eof_received else 0
        )  # it may come after the last word
        code = self._channel.recv_exit_status() if self._channel.exit_status_ready() else None
        return noshell.sentence(self.host, bytes(said).decode("utf-8", "replace"), code)

    def run(self, script: str, deadline_s: float) -> Completed:
        """Run one script and wait for its answer, at most `deadline_s` seconds. Raises ConnectionLost or DeadlineExceeded."""
        mark = f"stormdesk-{secrets.token_hex(8)}"
        # The newline before the mark keeps it apart from output that ends without one.
        text = f"{script}\nsd_code=$?; printf '\\n%s %s\\n' {mark} $sd_code; printf '\\n%s\\n' {mark} >&2\n"
        with whole(), self._lock:
            if self.broken:
                raise ConnectionLost(f"{self.host.name}: the connection is closed")
            try:
                return self._exchange(text, mark.encode(), time.monotonic() + deadline_s, deadline_s)
            except BaseException:
                self.close()
                raise

    def _exchange(self, text: str, mark: bytes, until: float, deadline_s: float) -> Completed:
        out, err = bytearray(), bytearray()
        try:
            self._channel.settimeout(max(until - time.monotonic(), 0.001))
            self._channel.sendall(text.encode())
            while not (_ended(out, mark) and _ended(err, mark)):
                left = until - time.monotonic()
                if left <= 0:
                    raise DeadlineExceeded(f"{self.host.name}: no answer within {deadline_s:g} s. {patience.hint()}")
                safe_point()
                select.select([self._channel], [], [], min(left, LOOK_S))
                over = self._channel.closed or self._channel.eof_received
                if not self._drain(out, err) and over:
                    raise ConnectionLost(f"{self.host.name}: the connection was lost; {_tail(err)}")
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"{self.host.name}: could not send within {deadline_s:g} s. {patience.hint()}"
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLost(f"{self.host.name}: the connection was lost: {error}") from error
        body, _, tail = bytes(out).rpartition(b"\n" + mark)
        errors = bytes(err).rpartition(b"\n" + mark)[0]
        return Completed((), int(tail.split()[0]), body.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))

    def _drain(self, out: bytearray, err: bytearray) -> bool:
        before = len(out) + len(err)
        while self._channel.recv_ready():
            out += self._channel.recv(1 << 20)
        while self._channel.recv_stderr_ready():
            err += self._channel.recv_stderr(1 << 20)
        return len(out) + len(err) > before

    def close(self) -> None:
        self.broken = True
        with contextlib.suppress(Exception):
            self._channel.close()


def _ended(stream: bytearray, mark: bytes) -> bool:
    """The mark with its whole line has arrived; it is the last thing on a stream."""
    return stream.endswith(b"\n") and mark in stream[-80:]


def _tail(stream: bytearray) -> str:
    return bytes(stream[-200:]).decode("utf-8", "replace").strip().replace("\n", " ")
