"""One pooled connection per host. All access to hosts goes through it, including the checks' testinfra backend."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import paramiko

from stormdesk.core.errors import HostKeyMismatch, StormdeskError, TransportError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.core.model import Argv, Completed
from stormdesk.core.shell import words
from stormdesk.ssh import parallel, patience
from stormdesk.ssh.deadlines import CONNECT_TIMEOUT_S
from stormdesk.ssh.greeting import answered
from stormdesk.ssh.open_shell import Shell
from stormdesk.ssh.signals import defer_signals
from stormdesk.ssh.transport import DIAL_S, TRIES, Dialer, connect

T = TypeVar("T")
CLOSE_S = 0.1

AGAIN_DIAL_S = (
    2.0  # one TCP try to a host that was cut off: long enough for two SYNs, short enough to notice its return soon
)
MIN_TRY_S = 1.0  # for a try that begins just before the deadline


@dataclass
class _Link:
    transport: paramiko.Transport
    shell: Shell
    took_s: float  # to be connected and logged in


class Pool:
    """Connections to the hosts of an inventory, made when first needed. Thread-safe; use it as a context manager."""

    def __init__(self, inventory: Inventory, dialer: Dialer) -> None:
        self.inventory = inventory
        self._dialer = dialer
        self._links: dict[str, _Link] = {}
        self._locks = {name: threading.Lock() for name in inventory.hosts}

    def script(self, host: str, text: str, deadline_s: float) -> Completed:
        """Run a script on a host; `deadline_s`, times the command's patience, starts when there is a connection.

        Raises TransportError. Nothing is retried: a lost answer does not say whether the script ran.
        """
        shell = self._shell(self.inventory.host(host), TRIES, patience.scaled(CONNECT_TIMEOUT_S), DIAL_S)
        return shell.run(text, patience.scaled(deadline_s))

    def run(self, host: str, argv: Argv, deadline_s: float) -> Completed:
        """Run a command on a host; its stdin is empty."""
        done = self.script(host, f"({words(argv)}) </dev/null", deadline_s)
        return Completed(argv, done.code, done.stdout, done.stderr)

    def connected(self, host: str) -> bool:
        """Whether there is a connection that works, as far as is known."""
        link = self._links.get(host)
        return link is not None and not link.shell.broken and link.transport.is_active()

    def answered(self, host: str, within_s: float) -> float:
        """Whether sshd answers a new connection, beside the one that is open: the seconds that took. Its limit is `within_s`, times
        the command's patience; on a slow way, twice what the open connection took to be made. Raises ConnectFailed."""
        link = self._links.get(host)
        most_s = max(patience.scaled(within_s), 2 * link.took_s if link else 0.0)
        with defer_signals():
            return answered(self.inventory.host(host), self._dialer, most_s)

    def drop(self, host: str) -> None:
        """Forget the connection: after a fault that cut it, a new one works sooner than the old one."""
        with defer_signals(), self._locks[host]:
            self._forget(host)

    def reconnect(self, host: str, within_s: float) -> None:
        """Keep trying to connect to a host whose fault cut the connection. Raises TransportError after `within_s`.

        Each try gives up on TCP early; once the host has answered, its log-in may take as long as any other.
        """
        until = time.monotonic() + within_s
        while True:
            left_s = max(until - time.monotonic(), MIN_TRY_S)
            try:
                most_s = min(left_s, patience.scaled(CONNECT_TIMEOUT_S))
                self._shell(self.inventory.host(host), 1, most_s, AGAIN_DIAL_S)
            except HostKeyMismatch:
                raise
            except TransportError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.2)
            else:
                return

    def each(self, hosts: Iterable[str], act: Callable[[str], T]) -> Mapping[str, T | StormdeskError]:
        """The results of `act(host)` for all hosts, run in parallel; an error takes the place of a result."""
        return parallel.each(hosts, act)

    def close(self) -> None:
        with defer_signals():
            for name in list(self._links):
                # After a second Ctrl-C the abandoned threads may hold the locks; do not wait for them.
                if self._locks[name].acquire(timeout=CLOSE_S):
                    try:
                        self._forget(name)
                    finally:
                        self._locks[name].release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shell(self, host: InventoryHost, tries: int, timeout_s: float, dial_s: float) -> Shell:
        """The open shell of a host, or a new one. `timeout_s` is for a connection with all its tries, and again for its shell."""
        with defer_signals(), self._locks[host.name]:
            link = self._links.get(host.name)
            if link is not None and not link.shell.broken and link.transport.is_active():
                return link.shell
            self._forget(host.name)
            began = time.monotonic()
            transport = connect(host, self._dialer, tries, timeout_s, patience.scaled(dial_s))
            took_s = time.monotonic() - began
            try:
                link = _Link(transport, Shell(host, transport, timeout_s), took_s)
            except BaseException:
                transport.close()
                raise
            self._links[host.name] = link
            return link.shell

    def _forget(self, name: str) -> None:
        link = self._links.pop(name, None)
        if link is not None:
            with contextlib.suppress(Exception):
                link.shell.close()
                link.transport.close()
