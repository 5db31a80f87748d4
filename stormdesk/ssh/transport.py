"""SSH by paramiko: an authenticated connection to a host, within a deadline."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from stormdesk.core.errors import ConnectFailed, HostKeyMismatch
from stormdesk.core.inventory import InventoryHost
from stormdesk.ssh import patience
from stormdesk.ssh.deadlines import CONNECT_TIMEOUT_S, LOOK_S, bounded, left
from stormdesk.ssh.handshake import host_key, incompatible, new_transport, no_terrapin
from stormdesk.ssh.log_in import log_in
from stormdesk.ssh.signals import safe_point

Dialer = Callable[[InventoryHost, float], socket.socket]

DIAL_S = 5.0  # of CONNECT_TIMEOUT_S, for one try of TCP, or of the ProxyCommand
TRIES = 3
BUSY_TRIES = 10  # where sshd hangs up before its banner, as it does when too many log in at once (MaxStartups)


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
            time.sleep(min(random.uniform(0.3, 0.8) if busy else 0.3 * 2**attempt, left(until)))
            if time.monotonic() >= until:
                break
        attempt += 1
        try:
            return _connect_once(host, dialer, until, dial_s)
        except paramiko.BadHostKeyException as error:
            raise HostKeyMismatch(f"{host.name} at {host.target}: {error}") from error
        except IncompatiblePeer as error:
            raise incompatible(host, error) from error
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


def _connect_once(host: InventoryHost, dialer: Dialer, until: float, dial_s: float) -> paramiko.Transport:
    expected = host_key(host)
    sock = dialer(host, min(dial_s, left(until)))
    try:
        transport = new_transport(host, sock)
    except BaseException:
        sock.close()
        raise
    # Every wait of the handshake has a limit: a host may accept the connection and then stay silent.
    transport.banner_timeout = transport.handshake_timeout = left(until)
    transport.auth_timeout = (
        left(until) + LOOK_S
    )  # longer than ours, so that running out of time is not reported as a refused key
    try:
        bounded(lambda: transport.start_client(timeout=left(until)), transport, until)
        no_terrapin(host, transport)
        given = transport.get_remote_server_key()
        if (given.get_name(), given.asbytes()) != expected:
            raise HostKeyMismatch(
                f"{host.name} at {host.target} shows another host key than the inventory's: refused, nothing was sent"
            )
        log_in(host, transport, until)
    except BaseException:
        transport.close()
        raise
    return transport
