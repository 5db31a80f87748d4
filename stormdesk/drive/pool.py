"""One pooled connection per host; every way of talking to hosts goes through here (the checks' testinfra backend too)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import paramiko

from stormdesk.drive import asking
from stormdesk.drive.signals import whole
from stormdesk.drive.transports.ssh import CONNECT_TIMEOUT_S, TRIES, Dialer, Shell, connect
from stormdesk.errors import HostKeyMismatch, StormdeskError, TransportError
from stormdesk.inventory import Inventory, InventoryHost
from stormdesk.model import Argv, Completed
from stormdesk.shell import words

T = TypeVar("T")


@dataclass
class _Link:
    transport: paramiko.Transport
    shell: Shell


class Pool:
    """Connections to the hosts of an inventory, made when first needed. Thread-safe; use it as a context manager."""

    def __init__(self, inventory: Inventory, dialer: Dialer) -> None:
        self.inventory = inventory
        self._dialer = dialer
        self._links: dict[str, _Link] = {}
        self._locks = {name: threading.Lock() for name in inventory.hosts}

    def script(self, host: str, text: str, deadline_s: float) -> Completed:
        """Run a script on a host. Raises TransportError; nothing is retried, since a lost answer says nothing about the act."""
        return self._shell(self.inventory.host(host)).run(text, deadline_s)

    def run(self, host: str, argv: Argv, deadline_s: float) -> Completed:
        """Run a command on a host; its stdin is empty."""
        done = self.script(host, f"({words(argv)}) </dev/null", deadline_s)
        return Completed(argv, done.code, done.stdout, done.stderr)

    def drop(self, host: str) -> None:
        """Forget the connection: after a fault that cut it, a new one comes back sooner than the old."""
        with whole(), self._locks[host]:
            self._forget(host)

    def reconnect(self, host: str, within_s: float) -> None:
        """Keep trying for a new connection; for a host whose fault cut the old one. Raises ConnectFailed after `within_s`."""
        until = time.monotonic() + within_s
        while True:
            try:
                self._shell(self.inventory.host(host), tries=1, timeout_s=1.0)
            except HostKeyMismatch:
                raise
            except TransportError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.2)
            else:
                return

    def each(self, hosts: Iterable[str], act: Callable[[str], T]) -> Mapping[str, T | StormdeskError]:
        """`act(host)` on all hosts at once; an error stands in the place of its host's answer."""
        return asking.each(hosts, act)

    def close(self) -> None:
        with whole():
            for name in list(self._links):
                self.drop(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shell(self, host: InventoryHost, tries: int = TRIES, timeout_s: float = CONNECT_TIMEOUT_S) -> Shell:
        with whole(), self._locks[host.name]:
            link = self._links.get(host.name)
            if link is not None and not link.shell.broken and link.transport.is_active():
                return link.shell
            self._forget(host.name)
            transport = connect(host, self._dialer, tries, timeout_s)
            try:
                link = _Link(transport, Shell(host, transport))
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
