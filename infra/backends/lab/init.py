"""The lab init: pid 1 of a lab. It owns the fabric's network namespace and all mounts; killing it removes everything.

    starter (forked off `up`) --unshare, fork--> lab init --fork--> one child a host, pid 1 of the host's namespaces

It starts hosts, starts them again when they reboot, keeps the time to live, and answers on a unix socket (root only).
Until `up` has written down that the lab exists, the death of `up` is the end of the lab: there is never a lab that
nobody knows; and it holds the lab's lock (a descriptor of `up`) as long, so that nobody starts a second one meanwhile.
Runs as `python -m stormdesk.infra.backends.lab.init NAME LOCK-DESCRIPTOR` with a socket as standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from stormdesk.infra.backends.lab import cgroup, host, kernel, layer, network, processes, records, template, volume
from stormdesk.infra.backends.lab.spec import HostSpec, LabSpec

LIMIT = 64 << 20  # a lab document is far smaller; a reader needs some bound


@dataclass
class Running:
    """One host and what it is doing: starting, mounted, going, up, off (powered down) or failed."""

    spec: HostSpec
    state: str = "off"
    boots: int = 0
    pid: int = 0
    channel: socket.socket | None = None


class Lab:
    """The lab init's state and its event loop."""

    def __init__(self, spec: LabSpec, creator: socket.socket, lock: int) -> None:
        self.spec = spec
        self.lock = lock
        self.ends = time.clock_gettime(time.CLOCK_BOOTTIME) + spec.ttl_s
        self.hosts = {h.name: Running(h) for h in spec.hosts}
        self.home_ns = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.events = selectors.DefaultSelector()
        self.creator: socket.socket | None = creator
        self.events.register(creator, selectors.EVENT_READ, self.on_creator)
        self._listen_for_children()

    def _listen_for_children(self) -> None:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.events.register(read, selectors.EVENT_READ, lambda: self.on_child(read))

    def prepare(self) -> None:
        """Everything that hosts share: template, package layer, bridges, limits, the control socket."""
        mounts = self.spec.mounts
        os.makedirs(mounts)
        kernel.mount("tmpfs", mounts, "tmpfs", kernel.MS_NODEV, "mode=700,size=64m")
        for name in ("template", "layer", "root", "hosts"):
            os.mkdir(f"{mounts}/{name}")
        template.build(f"{mounts}/template")
        layer.mount(self.spec.layer, f"{mounts}/layer")
        for it in self.spec.hosts:
            self._hold(it)
            cgroup.create(self.spec.name, it)
        run_ip(network.fabric(self.spec.bridges))
        control = socket.socket(socket.AF_UNIX)
        old = os.umask(0o177)
        control.bind(f"{self.spec.run_dir}/control")
        os.umask(old)
        control.listen()
        self.events.register(control, selectors.EVENT_READ, lambda: self.on_request(control))

    def _hold(self, it: HostSpec) -> None:
        """What of a host survives its reboot: the upper layer of its root, and a volume that is not a device."""
        held = f"{self.spec.mounts}/hosts/{it.name}"
        os.mkdir(held)
        kernel.mount("tmpfs", held, "tmpfs", kernel.MS_NODEV, f"mode=755,size={host.ROOT_MIB}m")
        os.mkdir(f"{held}/upper")
        if it.volume and not it.volume.image:
            os.mkdir(f"{held}/volume")
            options = f"mode=755,size={it.volume.size_mib}m"
            kernel.mount("tmpfs", f"{held}/volume", "tmpfs", kernel.MS_NODEV | kernel.MS_NOSUID, options)

    def start(self, it: Running) -> None:
        """Fork a host into a pid namespace of its own."""
        ours, theirs = socket.socketpair()
        it.boots += 1
        kernel.unshare(kernel.CLONE_NEWPID)
        it.pid = os.fork()
        if it.pid == 0:
            ours.close()
            host.boot(self.spec, it.spec, it.boots, theirs)
        kernel.setns(self.home_ns, kernel.CLONE_NEWPID)
        theirs.close()
        it.state, it.channel = "starting", ours
        self.events.register(ours, selectors.EVENT_READ, lambda: self.on_host(it, ours))

    def on_host(self, it: Running, channel: socket.socket) -> None:
        """A host said how far it is. Those that are mounted get their ports together, in one batch."""
        if it.channel is not channel:  # its end was seen first
            return
        said = channel.recv(4096).decode(errors="replace").strip()
        if said == "mounted":
            it.state = "mounted"
            self._wire()
        elif said == "up":
            self._settle(it, "up")
            if all(other.state == "up" for other in self.hosts.values()):
                self.tell(event="ready")
        else:
            self._fail(it, said.removeprefix("error ") or "ended")

    def _wire(self) -> None:
        if any(it.state == "starting" for it in self.hosts.values()):
            return
        waiting = [it for it in self.hosts.values() if it.state == "mounted"]
        try:
            run_ip([line for it in waiting for line in network.ports(it.spec, it.boots, it.pid)])
        except OSError as error:
            for it in waiting:
                self._fail(it, str(error))
            return
        for it in waiting:
            assert it.channel is not None
            it.state = "going"
            it.channel.sendall(b"go\n")

    def _settle(self, it: Running, state: str) -> None:
        it.state = state
        if it.channel is not None:
            self.events.unregister(it.channel)
            it.channel.close()
            it.channel = None

    def _fail(self, it: Running, why: str) -> None:
        self._settle(it, "failed")
        self.tell(event="error", text=f"host {it.spec.name}: {why}")

    def on_child(self, pipe: int) -> None:
        """A host's pid 1 ended. SIGHUP is how the kernel reports reboot(2): start the host again."""
        with contextlib.suppress(BlockingIOError):
            os.read(pipe, 4096)
        while (ended := _reap())[0]:
            it = next((h for h in self.hosts.values() if h.pid == ended[0]), None)
            if it is None:
                continue
            it.pid = 0
            if it.channel is not None:  # what it said last may not have been read yet
                self.on_host(it, it.channel)
            if os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGHUP:
                self.start(it)
            elif it.state != "failed":
                self._settle(it, "off")

    def on_creator(self) -> None:
        """`up` has committed the lab, or is dead."""
        assert self.creator is not None
        said = self.creator.recv(16)
        self.events.unregister(self.creator)
        self.creator.close()
        self.creator = None
        if said != b"commit\n":
            self.end()
        os.close(self.lock)
        self.lock = -1

    def tell(self, **event: object) -> None:
        """One line to `up`, while there is one."""
        if self.creator is not None:
            with contextlib.suppress(OSError):
                self.creator.sendall(json.dumps(event).encode() + b"\n")
        elif event["event"] == "error":
            print(event["text"], file=sys.stderr, flush=True)

    def on_request(self, control: socket.socket) -> None:
        """One request a connection, one JSON object each way. There is one: {"do": "status"}."""
        with contextlib.suppress(OSError, ValueError):
            client, _ = control.accept()
            with client:
                client.settimeout(1.0)
                request = json.loads(client.recv(65536))
                answer: object = {"error": f"unknown request: {request}"}
                if request == {"do": "status"}:
                    answer = {n: {"state": h.state, "boots": h.boots, "pid": h.pid} for n, h in self.hosts.items()}
                client.sendall(json.dumps(answer).encode())

    def run(self) -> NoReturn:
        """Serve until the time to live is over."""
        while (left := self.ends - time.clock_gettime(time.CLOCK_BOOTTIME)) > 0:
            for key, _ in self.events.select(min(left, 60)):
                handle: Callable[[], None] = key.data
                try:
                    handle()
                except Exception as error:  # noqa: BLE001  one mishap must not end a lab that others use
                    self.tell(event="error", text=f"{type(error).__name__}: {error}")
        self.end()

    def end(self) -> NoReturn:
        """Take everything away, then go: nobody else may be there to clean up."""
        with contextlib.suppress(ProcessLookupError):
            volume.thaw(os.getpid())
            os.kill(-1, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and _reap()[0] >= 0:
            time.sleep(0.005)
        with contextlib.suppress(OSError):
            kernel.unmount(self.spec.mounts)
        volume.wait_released(self.spec.home, 2)
        with contextlib.suppress(OSError):
            cgroup.remove(self.spec.name)
        shutil.rmtree(self.spec.home, ignore_errors=True)
        shutil.rmtree(self.spec.run_dir, ignore_errors=True)
        if self.lock >= 0:
            records.forget_lock(self.spec.name)
        os._exit(0)


def run_ip(lines: Iterable[str]) -> None:
    """One `ip -batch` in the lab init's own network namespace."""
    text = "\n".join(lines) + "\n"
    done = subprocess.run(["ip", "-batch", "-"], input=text.encode(), capture_output=True, check=False, timeout=10)
    if done.returncode != 0:
        raise OSError(f"ip -batch: {done.stderr.decode(errors='replace').strip()}")


def _reap() -> tuple[int, int]:
    """The next child that ended: (pid, status); (0, 0) when none did, (-1, 0) when there is no child at all."""
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return -1, 0


def _receive(creator: socket.socket) -> LabSpec:
    with creator.makefile("rb") as stream:
        return msgspec.json.decode(stream.readline(LIMIT), type=LabSpec)


def _namespaces() -> None:
    """Private mounts, with a /proc of this pid namespace (which also lets hosts mount theirs)."""
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def main() -> None:
    """The starter: makes the namespaces, forks the lab init, reports its pid and ends."""
    creator = socket.socket(fileno=os.dup(0))
    lock = int(sys.argv[2])
    os.set_inheritable(lock, False)
    spec = _receive(creator)
    os.setsid()
    os.chdir("/")
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    if pid := os.fork():
        creator.sendall(json.dumps({"event": "pid", "pid": pid}).encode() + b"\n")
        os._exit(0)
    kernel.set_name(processes.COMM)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    lab = None
    try:
        _namespaces()
        lab = Lab(spec, creator, lock)
        lab.prepare()
        for it in lab.hosts.values():
            lab.start(it)
        lab.run()
    except BaseException as error:  # whatever it was: say it and leave nothing
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        creator.sendall(json.dumps({"event": "error", "text": f"{error}"}).encode() + b"\n")
        raise
    finally:
        if lab is not None:
            lab.end()


if __name__ == "__main__":
    main()
