"""Calls to a host's supervisord over XML-RPC: `supervisorctl` would start a Python interpreter for each call."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

SOCKET = "/run/supervisor.sock"
UP_S = 20.0
ANSWER_S = 20.0


class _Connection(http.client.HTTPConnection):
    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(SOCKET)


class _Transport(xmlrpc.client.Transport):
    @override
    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _Connection("localhost")


def wait_for(manager: str) -> None:
    """Wait until a manager listens on its socket, which is shortly after the host is up. OSError after UP_S seconds."""
    deadline = time.monotonic() + UP_S
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(manager)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.02)


@contextmanager
def _connected() -> Iterator[xmlrpc.client.ServerProxy]:
    """The host's supervisord, once it listens. Its faults are raised as OSError."""
    wait_for(SOCKET)
    try:
        with xmlrpc.client.ServerProxy("http://localhost", _Transport(), allow_none=True) as proxy:
            yield proxy
    except (xmlrpc.client.Error, http.client.HTTPException) as error:
        raise OSError(f"supervisord: {error}") from None


def restart(service: str) -> None:
    """(Re)start a service with its current configuration: supervisord does not reread a changed file by itself."""
    with _connected() as proxy:
        _stop(proxy, service)
        _reload(proxy, service)
        with contextlib.suppress(xmlrpc.client.Fault):  # a new program is already running
            proxy.supervisor.startProcess(service)


def forget(service: str) -> None:
    """Remove a service whose file is gone."""
    with _connected() as proxy:
        _reload(proxy, service)


def stop(service: str) -> None:
    """Stop a service, if it runs."""
    with _connected() as proxy:
        _stop(proxy, service)


def _stop(proxy: xmlrpc.client.ServerProxy, service: str) -> None:
    with contextlib.suppress(xmlrpc.client.Fault):  # not running, or not known yet
        proxy.supervisor.stopProcess(service)


def _reload(proxy: xmlrpc.client.ServerProxy, service: str) -> None:
    """`supervisorctl update SERVICE`."""
    answer: Any = proxy.supervisor.reloadConfig()
    added, changed, removed = answer[0]
    if service in (*changed, *removed):
        proxy.supervisor.stopProcessGroup(service)
        proxy.supervisor.removeProcessGroup(service)
    if service in (*added, *changed):
        proxy.supervisor.addProcessGroup(service)
