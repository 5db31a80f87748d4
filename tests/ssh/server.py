"""A real sshd in a sandbox of namespaces, and the sockets to it, without any network."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.infra.backends.lab import kernel
from stormdesk.ssh.pool import Pool
from tests.shell.sandbox import Sandbox, eventually, require

PORT = 22
_SET_UP = """
mkdir -p /run/sshd /etc/ssh/keys
cat >/etc/ssh/keys/root
cp /etc/ssh/keys/root /etc/ssh/keys/trading
cp /etc/ssh/keys/root /etc/ssh/keys/nobody
chmod 644 /etc/ssh/keys/*
usermod -s /bin/sh nobody
rm -f /etc/ssh/ssh_host_*
for kind in ed25519 rsa; do ssh-keygen -q -t $kind -N '' -f /etc/ssh/ssh_host_${kind}_key; done
mkdir -p /etc/sudoers.d
echo 'trading ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/trading
chmod 440 /etc/sudoers.d/trading
cat >/etc/ssh/sshd_config <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_rsa_key
AuthorizedKeysFile /etc/ssh/keys/%u
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
LogLevel VERBOSE
PidFile /run/sshd.pid
END
/usr/sbin/sshd -E /tmp/sshd.log
"""


class CountingSocket:
    """A socket that counts: each `send`, and each change from sending to receiving, which is a round trip."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sends = self.sent = self.trips = 0
        self._sending = False

    def reset(self) -> None:
        self.sends = self.sent = self.trips = 0
        self._sending = False

    def send(self, data: bytes) -> int:
        self.sends += 1
        self._sending = True
        count = self.sock.send(data)
        self.sent += count
        return count

    def recv(self, size: int) -> bytes:
        data = self.sock.recv(size)
        if self._sending:
            self.trips += 1
            self._sending = False
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Server:
    """sshd on port 22 of a sandbox; root and `trading` (who may sudo) and `nobody` (who may not) log in with `key`."""

    def __init__(self, folder: Path) -> None:
        require("sshd", "sudo")
        self.box = Sandbox()
        self.key = folder / "id"
        self.dialed: list[CountingSocket] = []
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)]
        subprocess.run(command, check=True, timeout=10)

    def __enter__(self) -> Self:
        self.box.__enter__()
        public = self.key.with_suffix(".pub").read_text()
        self.box.sh(f"cat >/tmp/public <<'END'\n{public}END\nset -e\n(\n{_SET_UP}\n) </tmp/public")
        eventually("test -s /run/sshd.pid", self.box, 5)
        return self

    def __exit__(self, *args: object) -> None:
        self.box.__exit__(*args)

    def restart(self, *lines: str) -> None:
        """sshd anew, with these lines of sshd_config in front of the usual ones."""
        extra = "\n".join(lines)
        self.box.sh(
            "cp -n /etc/ssh/sshd_config /etc/ssh/usual; kill $(cat /run/sshd.pid); rm /run/sshd.pid\n"
            f"(cat <<'END'\n{extra}\nEND\ncat /etc/ssh/usual) >/etc/ssh/sshd_config\n: >/tmp/sshd.log"
        )
        self.box.sh("until /usr/sbin/sshd -E /tmp/sshd.log; do sleep 0.1; done")
        eventually("test -s /run/sshd.pid", self.box, 5)

    def host(self, **changes: Any) -> InventoryHost:
        kind = changes.pop("kind", "ed25519")
        public = self.box.sh(f"cut -d' ' -f1,2 /etc/ssh/ssh_host_{kind}_key.pub").strip()
        values = {"name": "sandbox", "role": "trader", "address": "127.0.0.1", "port": PORT, "host_key": public}
        return InventoryHost(**{**values, "identity_file": str(self.key), **changes})

    def inventory(self, **changes: Any) -> Inventory:
        host = self.host(**changes)
        return Inventory(version=VERSION, environment="sandbox", hosts={host.name: host})

    def pool(self, **changes: Any) -> Pool:
        return Pool(self.inventory(**changes), self.dial)

    def dial(self, host: InventoryHost, timeout_s: float) -> socket.socket:
        """A connected socket that was made inside the sandbox's network namespace, by a thread of its own."""
        counted = CountingSocket(self.inside(lambda: socket.create_connection((host.address, host.port), timeout_s)))
        self.dialed.append(counted)
        return counted  # type: ignore[return-value]

    def inside(self, make: Callable[[], socket.socket]) -> socket.socket:
        made: list[socket.socket | OSError] = []

        def enter() -> None:
            namespace = os.open(f"/proc/{self.box.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                kernel.setns(namespace, kernel.CLONE_NEWNET)
                made.append(make())
            except OSError as error:
                made.append(error)
            finally:
                os.close(namespace)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def log(self) -> str:
        return self.box.sh("cat /tmp/sshd.log")

    def sessions(self) -> Mapping[int, str]:
        """The processes of sshd that carry a connection, by pid; not the listener."""
        listener = self.box.sh("cat /run/sshd.pid").strip()
        lines = self.box.sh("ps -o pid=,args= -C sshd,sshd-session").splitlines()
        found = {int(pid): args for pid, _, args in (line.strip().partition(" ") for line in lines)}
        # Nobody in a sandbox reaps; what ended is no session any more.
        return {pid: args for pid, args in found.items() if pid != int(listener) and "defunct" not in args}
