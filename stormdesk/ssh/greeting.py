"""A new connection to a host's sshd, as far as its first answer: does one get through, both ways? Nobody logs in.

sshd accepts it, forks for it, says who it is, hears who we are and offers its algorithms, which is a packet of about 1 kB. That
costs no cryptography on either side, so many hosts can be asked at once.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from stormdesk.core.errors import ConnectFailed
from stormdesk.core.inventory import InventoryHost
from stormdesk.ssh.deadlines import left
from stormdesk.ssh.signals import safe_point

WE_ARE = b"SSH-2.0-Stormdesk\r\n"
KEXINIT = 20  # RFC 4253 7.1: the first packet, behind four bytes of its length and one of its padding
MOST = 1 << 16  # bytes of an sshd that is none
PAUSE_S = 0.2


def answered(host: InventoryHost, dial: Callable[[InventoryHost, float], socket.socket], within_s: float) -> float:
    """The seconds until a new connection was answered. An sshd that hangs up, as it may when many log in, is tried again; raises
    ConnectFailed when none was answered `within_s`."""
    began = time.monotonic()
    until = began + within_s
    while True:
        try:
            _ask(host, dial, until)
            return time.monotonic() - began
        except TimeoutError:
            why = "no answer"
        except (OSError, ConnectFailed) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if time.monotonic() + PAUSE_S >= until:
            raise ConnectFailed(f"{why} within {within_s:.3g} s")
        safe_point()
        time.sleep(PAUSE_S)


def _ask(host: InventoryHost, dial: Callable[[InventoryHost, float], socket.socket], until: float) -> None:
    sock = dial(host, left(until))
    try:
        sock.settimeout(left(until))
        sock.sendall(WE_ARE)
        said = b""
        while not _offers(said):
            sock.settimeout(left(until))
            more = sock.recv(4096)
            if not more or len(said) > MOST:
                raise ConnectFailed(f"sshd hung up after {len(said)} bytes" if not more else "no SSH server answers")
            said += more
    finally:
        sock.close()


def _offers(said: bytes) -> bool:
    """Is the first packet among it, behind the line `SSH-...` and those that a server may send before it?"""
    while line_end := said.find(b"\n") + 1:
        line, said = said[:line_end], said[line_end:]
        if line.startswith(b"SSH-"):
            return len(said) > 5 and said[5] == KEXINIT
    return False
