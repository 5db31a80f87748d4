"""A running machine: QEMU's process and its monitor, SSH by OpenSSH (not by the product's transport), snapshots."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stormdesk.core.errors import HostError
from tests.vm import qemu
from tests.vm.tools import Tools

BOOTED = "booted"  # the snapshot that every case starts from
# Both network managers have heard their router, and no address is tentative.
SETTLED = "until [ $(ip -6 addr show | grep -c ' fec0:') -ge 2 ] && ! ip addr | grep -q tentative; do sleep 2; done"
BOOT_S, MONITOR_S, COMMAND_S = 900.0, 120.0, 300.0


@dataclass
class Machine:
    """One machine. `vm` is its folder, `disks` what image.py built."""

    tools: Tools
    disks: Path
    vm: Path
    accel: str
    port: int = field(default_factory=lambda: _free_port())  # noqa: PLW0108  it is defined below
    boot_id: str = ""

    def start(self, booted: Path | None = None) -> None:
        """Start QEMU at the lowest priority, and return as soon as it runs; see `wait`. `booted`: a folder of `keep_booted`, to
        go on from there. Raises HostError.
        """
        self.vm.mkdir()
        for name in qemu.DISK:
            make = qemu.overlay(self.tools, self.disks, self.vm, name)
            copy = ("cp", "--sparse=always", f"{booted}/{name}.qcow2", str(self.vm))
            subprocess.run(copy if booted else make, check=True, env=self.tools.environ)
        known = (self.disks / "hostkey.pub").read_text().split()[:2]
        (self.vm / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {' '.join(known)}\n")
        words = qemu.command(self.tools, self.disks, self.vm, self.accel, self.port)
        words = ("nice", "-n", "19", *words, *(("-loadvm", BOOTED) if booted else ()))
        with (self.vm / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                words,
                env=self.tools.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who end it in order
            )

    def keep_booted(self, booted: Path) -> None:
        """Save the snapshot that cases start from, end QEMU and move the disks to a folder, for later starts. Raises HostError."""
        self._human(f"savevm {BOOTED}")
        self.hang_up()
        self._monitor("quit")
        self._process.wait(MONITOR_S)
        new = booted.with_suffix(f".{os.getpid()}.new")
        new.mkdir()
        for name in qemu.DISK:
            shutil.move(self.vm / f"{name}.qcow2", new)
        with contextlib.suppress(FileExistsError, OSError):  # somebody else was faster: theirs is as good
            new.rename(booted)
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(self.vm)

    def wait(self, within_s: float = BOOT_S) -> float:
        """Until SSH answers; returns how many seconds it took. Raises HostError with the console's last lines."""
        began = time.monotonic()
        while time.monotonic() < began + within_s:
            if self._process.poll() is not None:
                raise HostError(f"QEMU ended: {_last_line(self.vm / 'qemu.log')}")
            if self.sh("true", within_s=90, check=False).returncode == 0:
                return time.monotonic() - began
            time.sleep(0.5)
        raise HostError(f"no SSH after {within_s:.0f} s: {_last_line(self.vm / 'console.log')}")

    def ssh(self, user: str = "root", *, shared: bool = True) -> Sequence[str]:
        """The words before a command. `shared`: over one connection that stays, which saves the handshake."""
        options = [
            *("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=60", "LogLevel=ERROR"),
            *(f"UserKnownHostsFile={self.vm}/known_hosts", f"IdentityFile={self.disks}/id", "IdentitiesOnly=yes"),
            *(("ControlMaster=auto", f"ControlPath={self.vm}/ssh-%r", "ControlPersist=yes") if shared else ()),
        ]
        return (
            "ssh",
            "-F",
            "none",
            "-p",
            str(self.port),
            *(w for o in options for w in ("-o", o)),
            f"{user}@127.0.0.1",
        )

    def sh(
        self, script: str, *, user: str = "root", within_s: float = COMMAND_S, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of sh on the machine. Raises HostError when it fails or takes too long, unless told not to check."""
        words = (*self.ssh(user), "sh", "-s")
        try:
            done = subprocess.run(words, input=script, capture_output=True, text=True, check=False, timeout=within_s)
        except subprocess.TimeoutExpired:
            self.hang_up()
            done = subprocess.CompletedProcess(words, 255, "", f"no answer in {within_s:.0f} s")
        if check and done.returncode != 0:
            raise HostError(
                f"on the machine, code {done.returncode}: {script.strip()[:200]}: {done.stderr.strip()[-300:]}"
            )
        return done

    def hang_up(self) -> None:
        """End the shared connections, which do not outlive a restored snapshot or a reboot."""
        for path in self.vm.glob("ssh-*"):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                words = ("ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "127.0.0.1")
                subprocess.run(words, capture_output=True, check=False, timeout=10)
            path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Go back to the snapshot; the clock is set to now. Raises HostError."""
        self.hang_up()
        self._human(f"loadvm {BOOTED}")
        self.wait()
        self.sh(f"date -s @{time.time():.0f} >/dev/null")
        self.boot_id = self._boot_id()

    def settle(self) -> None:
        """Until systemd has nothing left to start, both users have logged in once, and no address is tentative."""
        self.sh("systemctl is-system-running --wait", within_s=BOOT_S, check=False)
        for user in ("ops", "root"):
            self.sh("sudo -n true", user=user)
        self.sh(SETTLED)
        self.hang_up()

    def restarted(self) -> None:
        """Until it answers with another boot id than that of `restore`, and systemd is done. Raises HostError."""
        end = time.monotonic() + BOOT_S
        self.hang_up()
        while self._boot_id() in ("", self.boot_id):
            self.hang_up()
            if time.monotonic() > end:
                raise HostError(f"it did not restart: {_last_line(self.vm / 'console.log')}")
            time.sleep(1.0)
        self.sh("systemctl is-system-running --wait", within_s=BOOT_S, check=False)

    def _boot_id(self) -> str:
        return self.sh("cat /proc/sys/kernel/random/boot_id", within_s=90, check=False).stdout.strip()

    def reset(self) -> None:
        """Press the reset button: nothing is written first."""
        self._monitor("system_reset")
        self.hang_up()

    def stop(self) -> None:
        """Kill QEMU, which is our own child, and remove the machine's folder."""
        self.hang_up()
        self._process.kill()
        self._process.wait(30)
        shutil.rmtree(self.vm, ignore_errors=True)

    def _human(self, line: str) -> None:
        said = self._monitor("human-monitor-command", {"command-line": line})
        if said:
            raise HostError(f"QEMU: {line}: {str(said).strip()}")

    def _monitor(self, command: str, arguments: dict[str, object] | None = None) -> object:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(MONITOR_S)
            connection.connect(str(self.vm / "qmp"))
            stream = connection.makefile("rw")
            stream.readline()
            answer: dict[str, object] = {}
            for words in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments or {}}):
                stream.write(json.dumps(words) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
            if "error" in answer:
                raise HostError(f"QEMU: {command}: {answer['error']}")
            return answer["return"]


def accelerator(asked: str) -> str:
    """`tcg` or `kvm` on this machine. Raises ValueError for what it cannot do."""
    modules = frozenset(path.name for path in Path("/sys/module").iterdir())
    return qemu.accelerator(asked, device=os.access("/dev/kvm", os.R_OK | os.W_OK), modules=modules)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1] if lines else "it said nothing"
