"""The hosts of a running lab, which its lab init creates, updates, reboots and removes one at a time.

A caller passes `done`, which is called once: with "" on success, else with what went wrong.
Hosts that boot at the same time get their network ports in one batch.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

from stormdesk.infra.backends.lab import cgroup, content, host, kernel, network, volume
from stormdesk.infra.backends.lab.spec import MARKER, HostSpec, LabSpec, ServiceSpec
from stormdesk.infra.topology import Init

Done = Callable[[str], None]


@dataclass
class Running:
    """One host and its state: starting, mounted, going, up, off (powered down) or failed."""

    spec: HostSpec
    number: int
    state: str = "off"
    boots: int = 0
    pid: int = 0
    channel: socket.socket | None = None
    loop: int = -1  # fd of its volume's loop device, held open so that the host can unmount and remount the volume
    fresh: bool = True  # its files have yet to be written
    next: Callable[[], None] | None = None  # called once its pid 1 has ended
    waiting: list[Done] = field(default_factory=list)

    def close_volume(self) -> None:
        """Close the loop device; the kernel frees it with its last user."""
        if self.loop >= 0:
            os.close(self.loop)
            self.loop = -1


class Hosts:
    """All hosts of one lab. `failed` is called for a host that did not boot and that no caller waits for."""

    def __init__(self, lab: LabSpec, events: selectors.BaseSelector, failed: Done) -> None:
        self.lab = lab
        self.events = events
        self.failed = failed
        self.all: dict[str, Running] = {}
        self.inside: dict[int, Done] = {}  # processes that work inside a host
        self.home_ns = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.numbers = count(1)

    def put(self, spec: HostSpec, done: Done) -> None:
        """Create a host, or update the existing one with that name to `spec`.

        Its services are left alone. The marker is rewritten on the running host; any other change reboots it. A host that
        is off and otherwise matches `spec` is only booted.
        """
        it = self.all.get(spec.name)
        if it is None:
            it = self.all[spec.name] = Running(spec, next(self.numbers))
            self._hold(spec)
            cgroup.create(self.lab.name, spec)
            it.waiting.append(done)
            self._start(it)
            return
        cgroup.create(self.lab.name, spec)
        known = msgspec.structs.replace(it.spec, services=spec.services)
        it.spec = msgspec.structs.replace(spec, services=it.spec.services)
        if it.state == "up" and known == spec:
            done("")
            return
        if it.state == "up" and _without_marker(known) == _without_marker(spec):
            self._enter(it, lambda: content.put_files([file for file in spec.files if file.path == MARKER]), done)
            return

        changed = it.state != "off" or known != spec

        def again() -> None:
            it.fresh = it.fresh or changed
            it.waiting.append(done)
            self._start(it)

        self._stop(it, again)

    def close_volumes(self) -> None:
        """Close all volumes' loop devices: when the lab ends, and in a host's process, which inherits the descriptors."""
        for it in self.all.values():
            it.close_volume()

    def drop(self, name: str, done: Done) -> None:
        """Power a host off and forget it; its volume's image stays. A missing host is no error."""
        it = self.all.get(name)
        if it is None:
            done("")
            return

        def forget() -> None:
            del self.all[name]
            if it.spec.volume and not it.spec.volume.image:
                kernel.unmount(f"{self._held(name)}/volume")
            kernel.unmount(self._held(name))
            cgroup.remove_host(self.lab.name, name)
            gone = volume.wait_released(it.spec.volume.image, 5.0) if it.spec.volume and it.spec.volume.image else True
            done("" if gone else f"the volume of {name} is still in use")

        self._stop(it, forget)

    def put_service(self, name: str, service: ServiceSpec, done: Done) -> None:
        """Add a service to a host, or update the existing one with that name; it is started or restarted."""
        others = [s for s in self.all[name].spec.services if s.name != service.name]
        self._services(name, [*others, service], lambda: content.put_service(service), done)

    def drop_service(self, name: str, service: str, done: Done) -> None:
        """Stop a host's service and remove it; its data stays."""
        it = self.all.get(name)
        found = next((s for s in it.spec.services if s.name == service), None) if it else None
        if it is None or found is None:
            done("")
            return
        others = [s for s in it.spec.services if s is not found]
        self._services(name, others, lambda: content.drop_service(found), done)

    def _services(self, name: str, services: Sequence[ServiceSpec], act: Callable[[], None], done: Done) -> None:
        it = self.all[name]
        it.spec = msgspec.structs.replace(it.spec, services=services)
        if it.state == "up":
            self._enter(it, act, done)
        else:
            it.fresh = True  # written at its next boot
            done("")

    def _enter(self, it: Running, act: Callable[[], None], done: Done) -> None:
        """Run `act` in a separate process inside a host; an exception goes to the lab's log and to `done`."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                content.enter(it.pid)
                act()
                os._exit(0)
            except BaseException as error:  # noqa: BLE001  a forked child must never return into the lab init's code
                traceback.print_exc()
                os.write(write, f"{type(error).__name__}: {error}".encode()[:4000])
                os._exit(1)
        os.close(write)

        def ended(status: str) -> None:
            with open(read, "rb") as said:
                why = said.read().decode(errors="replace")
            done("" if status == "0" else f"host {it.spec.name}: {why or status}")

        self.inside[pid] = ended

    def _held(self, name: str) -> str:
        return f"{self.lab.mounts}/hosts/{name}"

    def _hold(self, it: HostSpec) -> None:
        """Create what survives the host's reboot: the upper layer of its root, and a volume without an image."""
        held = self._held(it.name)
        os.makedirs(held, exist_ok=True)
        kernel.mount("tmpfs", held, "tmpfs", kernel.MS_NODEV, f"mode=755,size={host.ROOT_MIB}m")
        os.mkdir(f"{held}/upper")
        if it.volume and not it.volume.image:
            os.mkdir(f"{held}/volume")
            options = f"mode=755,size={it.volume.size_mib}m"
            kernel.mount("tmpfs", f"{held}/volume", "tmpfs", kernel.MS_NODEV | kernel.MS_NOSUID, options)

    def _start(self, it: Running) -> None:
        """Fork a host into its own pid namespace."""
        ours, theirs = socket.socketpair()
        it.boots += 1
        fresh, it.fresh = it.fresh, False
        if it.spec.init is Init.SYSTEMD:  # remove the previous boot's groups
            cgroup.remove_host(self.lab.name, it.spec.name)
            cgroup.create(self.lab.name, it.spec)
        kernel.unshare(kernel.CLONE_NEWPID)
        it.pid = os.fork()
        if it.pid == 0:
            ours.close()
            self.close_volumes()  # this process waits until all are mounted, and must not hold another host's volume meanwhile
            host.boot(self.lab, it.spec, it.boots, theirs, fresh=fresh)
        kernel.setns(self.home_ns, kernel.CLONE_NEWPID)
        theirs.close()
        it.state, it.channel = "starting", ours
        self.events.register(ours, selectors.EVENT_READ, lambda: self._on_host(it, ours))

    def _stop(self, it: Running, then: Callable[[], None]) -> None:
        """Kill a host's pid 1, and so the whole host; `then` is called when it is gone."""
        if not it.pid:
            then()
            return
        it.next = then
        volume.thaw(it.pid)
        os.kill(it.pid, signal.SIGKILL)

    def _on_host(self, it: Running, channel: socket.socket) -> None:
        """A host reported its progress. Hosts that are mounted get their ports together, in one batch."""
        if it.channel is not channel:  # its exit was handled first
            return
        said = channel.recv(4096).decode(errors="replace").strip()
        word, _, device = said.partition(" ")
        if word == "mounted":
            it.state = "mounted"
            if device:
                it.loop = os.open(device, os.O_RDONLY)
            self._wire()
        elif said == "up":
            self._settle(it, "up", "")
        else:
            self._settle(it, "failed", f"host {it.spec.name}: {said.removeprefix('error ') or 'ended'}")

    def _wire(self) -> None:
        if any(it.state == "starting" for it in self.all.values()):
            return
        mounted = [it for it in self.all.values() if it.state == "mounted"]
        try:
            run_ip([line for it in mounted for line in network.ports(it.spec, it.number, it.boots, it.pid)])
        except OSError as error:
            for it in mounted:
                self._settle(it, "failed", f"host {it.spec.name}: {error}")
            return
        for it in mounted:
            assert it.channel is not None
            it.state = "going"
            it.channel.sendall(b"go\n")

    def _settle(self, it: Running, state: str, why: str) -> None:
        it.state = state
        if it.channel is not None:
            self.events.unregister(it.channel)
            it.channel.close()
            it.channel = None
        told, it.waiting = it.waiting, []
        for done in told:
            done(why)
        if why and not told:
            self.failed(why)

    def on_ended(self, pid: int, status: int) -> None:
        """A child of the lab init exited. The kernel reports a host's reboot(2) as SIGHUP: boot the host again."""
        if pid in self.inside:
            self.inside.pop(pid)(str(os.waitstatus_to_exitcode(status)))
            return
        it = next((h for h in self.all.values() if h.pid == pid), None)
        if it is None:
            return
        it.pid = 0
        if it.channel is not None:  # its last message may not have been read yet
            self._on_host(it, it.channel)
        it.close_volume()
        if it.next is not None:
            follow, it.next = it.next, None
            it.state = "off"
            follow()
        elif os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP:
            self._start(it)
        elif it.state != "failed":
            self._settle(it, "off", f"host {it.spec.name} ended" if it.waiting else "")


def _without_marker(spec: HostSpec) -> HostSpec:
    """A host without its marker: the marker holds the lab's expiry and is read whenever it matters, so no reboot is needed."""
    return msgspec.structs.replace(spec, files=[file for file in spec.files if file.path != MARKER])


def run_ip(lines: Iterable[str]) -> None:
    """One `ip -batch` in the lab init's own network namespace."""
    text = "\n".join(lines) + "\n"
    done = subprocess.run(["ip", "-batch", "-"], input=text.encode(), capture_output=True, check=False, timeout=10)
    if done.returncode != 0:
        raise OSError(f"ip -batch: {done.stderr.decode(errors='replace').strip()}")


def reap() -> tuple[int, int]:
    """Reap the next child that exited: (pid, status). (0, 0) if none has, (-1, 0) if there are no children."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(-1, os.WNOHANG)
    return -1, 0
