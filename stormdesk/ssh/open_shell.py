"""One `sh -s` kept open on a connection: a script goes in, its framed answer comes out.

Rules:
1. A script is one write to the open shell; its answer is framed by a random mark on both streams. One round trip.
2. Both streams are drained together: 8 MB on stderr must not block a command (a channel's window is 2 MiB).
3. After a deadline or a lost link the shell is closed and never used again; what the host did meanwhile is unknown.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import threading
import time

import paramiko

from stormdesk.core.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from stormdesk.core.inventory import InventoryHost
from stormdesk.core.model import Completed
from stormdesk.ssh import noshell, patience
from stormdesk.ssh.deadlines import CONNECT_TIMEOUT_S, LOOK_S, bounded, left
from stormdesk.ssh.signals import defer_signals, safe_point

# Must work in any login shell: rbash has no exec, csh and fish do not have sh syntax; bash and dash exec it themselves.
_LOG_IN = "sh -s"
# Resets what the environment may have set for sh. The mark is in two words, so that an echo of this line does not match it.
_HELLO = "set +Cefuvx; unset CDPATH ENV BASH_ENV TMOUT; printf '%s%s\\n' {mark}; printf '%s%s\\n' {mark} >&2\n"


class Shell:
    """An open `sh -s` on a host (through `sudo -n` for users other than root). One script at a time; not reusable once broken.

    It is verified that sh answers before anything else is sent. Raises ConnectFailed when something else runs, and
    ConnectionLost when there is no answer within `timeout_s` (CONNECT_TIMEOUT_S).
    """

    def __init__(
        self, host: InventoryHost, transport: paramiko.Transport, timeout_s: float = CONNECT_TIMEOUT_S
    ) -> None:
        self.host = host
        self.broken = False
        self._lock = threading.Lock()
        until = time.monotonic() + timeout_s
        try:
            bounded(lambda: self._open(transport, timeout_s), transport, until)
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
        """Wait until sh answers on both streams, and discard the output of the log-in."""
        word = secrets.token_hex(8)
        hello = _HELLO.format(mark=f"'stormdesk-' {word}")
        mark = f"stormdesk-{word}\n".encode()
        out, err = bytearray(), bytearray()
        self._channel.settimeout(left(until))
        with contextlib.suppress(OSError):  # it has ended: its output says why
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
            select.select([self._channel], [], [], min(left(until), LOOK_S))

    def _no_shell(self, said: bytes | bytearray) -> str:
        self._channel.status_event.wait(
            10 * LOOK_S if self._channel.eof_received else 0
        )  # it may come after the last output
        code = self._channel.recv_exit_status() if self._channel.exit_status_ready() else None
        return noshell.sentence(self.host, bytes(said).decode("utf-8", "replace"), code)

    def run(self, script: str, deadline_s: float) -> Completed:
        """Run one script and wait for its answer, at most `deadline_s` seconds. Raises ConnectionLost or DeadlineExceeded."""
        mark = f"stormdesk-{secrets.token_hex(8)}"
        # The newline before the mark separates it from output that does not end with one.
        text = f"{script}\nsd_code=$?; printf '\\n%s %s\\n' {mark} $sd_code; printf '\\n%s\\n' {mark} >&2\n"
        with defer_signals(), self._lock:
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
                rest_s = until - time.monotonic()
                if rest_s <= 0:
                    raise DeadlineExceeded(f"{self.host.name}: no answer within {deadline_s:g} s. {patience.hint()}")
                safe_point()
                select.select([self._channel], [], [], min(rest_s, LOOK_S))
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
    """Whether the line with the mark has arrived completely; it is the last line of a stream."""
    return stream.endswith(b"\n") and mark in stream[-80:]


def _tail(stream: bytearray) -> str:
    return bytes(stream[-200:]).decode("utf-8", "replace").strip().replace("\n", " ")
