"""Connections to hosts: by a socket created inside a lab on this machine, by the host's ProxyCommand, or by plain TCP."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Callable

from stormdesk.core.errors import ConnectFailed
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.infra.backends.lab import control, records

Dialer = Callable[[InventoryHost, float], socket.socket]


def dialer(inventory: Inventory) -> Dialer:
    """A function that connects to a host's sshd: (host, seconds) -> connected socket. It raises ConnectFailed."""
    inside = control.proxy_command(inventory.environment)

    def dial(host: InventoryHost, seconds: float) -> socket.socket:
        try:
            if host.proxy_command == inside and (pid := records.running(inventory.environment)):
                return _connected(control.socket_inside(pid), host, seconds)
            if host.proxy_command:
                return _by_proxy(host, seconds)
            return socket.create_connection((host.address, host.port), timeout=seconds)
        except OSError as error:
            raise ConnectFailed(f"{host.name} ({host.target}): {error}") from error

    return dial


def _connected(made: socket.socket, host: InventoryHost, seconds: float) -> socket.socket:
    try:
        made.settimeout(seconds)
        made.connect((host.address, host.port))
    except OSError:
        made.close()
        raise
    return made


def _by_proxy(host: InventoryHost, seconds: float) -> socket.socket:
    """Run a ProxyCommand that passes back a connected socket, as ssh does with ProxyUseFdpass."""
    words = {"%h": host.address, "%p": str(host.port), "%r": host.user, "%n": host.name, "%%": "%"}
    command = re.sub("%[hprn%]", lambda token: shlex.quote(words[token[0]]), host.proxy_command)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            argv = ["/bin/sh", "-c", f"exec {command}"]
            proxy = subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE)
        ours.settimeout(seconds)
        try:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        except TimeoutError:
            descriptors = []
    why = _end(proxy)
    if not descriptors:
        raise ConnectFailed(f"{host.name}: the ProxyCommand gave no connection within {seconds:.0f} s: {why}")
    return socket.socket(fileno=descriptors[0])


def _end(proxy: subprocess.Popen[bytes]) -> str:
    """Wait a second for a ProxyCommand to end, else kill it; returns its stderr."""
    try:
        _, said = proxy.communicate(timeout=1.0)
    except subprocess.TimeoutExpired:
        proxy.kill()
        _, said = proxy.communicate()
    return said.decode(errors="replace").strip()
