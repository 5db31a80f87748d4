"""What the supervisord of a host is asked, by its own protocol: `supervisorctl` starts a Python for each question."""

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
    """Wait until a manager listens on its socket: a host is up a moment before. Raises OSError after UP_S seconds."""
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
def _asked() -> Iterator[xmlrpc.client.ServerProxy]:
    """The host's supervisord, once it listens. Raises OSError for all that it refuses."""
    wait_for(SOCKET)
    try:
        with xmlrpc.client.ServerProxy("http://localhost", _Transport(), allow_none=True) as proxy:
            yield proxy
    except (xmlrpc.client.Error, http.client.HTTPException) as error:
        raise OSError(f"supervisord: {error}") from None


def again(service: str) -> None:
    """Start a service as its file says now; one that runs is started again. A changed file alone changes nothing in supervisord."""
    with _asked() as proxy:
        _stop(proxy, service)
        _read_anew(proxy, service)
        with contextlib.suppress(xmlrpc.client.Fault):  # one that was new is running already
            proxy.supervisor.startProcess(service)


def forget(service: str) -> None:
    """Give up a service whose file is gone."""
    with _asked() as proxy:
        _read_anew(proxy, service)


def stop(service: str) -> None:
    """Stop a service, if it runs."""
    with _asked() as proxy:
        _stop(proxy, service)


def _stop(proxy: xmlrpc.client.ServerProxy, service: str) -> None:
    with contextlib.suppress(xmlrpc.client.Fault):  # it does not run, or is not known yet
        proxy.supervisor.stopProcess(service)


def _read_anew(proxy: xmlrpc.client.ServerProxy, service: str) -> None:
    """`supervisorctl update SERVICE`."""
    answer: Any = proxy.supervisor.reloadConfig()
    added, changed, removed = answer[0]
    if service in (*changed, *removed):
        proxy.supervisor.stopProcessGroup(service)
        proxy.supervisor.removeProcessGroup(service)
    if service in (*added, *changed):
        proxy.supervisor.addProcessGroup(service)
