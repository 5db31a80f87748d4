"""The lab init: pid 1 of a lab. It owns the fabric's network namespace and all mounts; killing it removes everything.

    starter (forked off `up`) --unshare, fork--> lab init --fork--> one child a host, pid 1 of the host's namespaces

It boots hosts, boots them again when they reboot, enforces the time to live, and answers on a unix socket (root only).
Until `up` has recorded the lab, the lab ends if `up` dies, so there is never an unrecorded lab. Until then the lab init
also holds the lab's lock (a descriptor inherited from `up`), so that nobody starts a second one.
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
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from stormdesk.infra.backends.lab import cgroup, kernel, layer, network, processes, records, template, volume
from stormdesk.infra.backends.lab.hosts import Done, Hosts, reap, run_ip
from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec, LabSpec, ServiceSpec

LIMIT = 64 << 20  # far above the size of any lab document: a reader needs a bound


class Lab:
    """The lab init's state and event loop."""

    def __init__(self, spec: LabSpec, creator: socket.socket, lock: int) -> None:
        self.spec = spec
        self.lock = lock
        self.ends = time.clock_gettime(time.CLOCK_BOOTTIME) + spec.ttl_s
        self.events = selectors.DefaultSelector()
        self.hosts = Hosts(spec, self.events, lambda why: self.tell(event="error", text=why))
        self.bridges: dict[str, BridgeSpec] = {}
        self.creator: socket.socket | None = creator
        self.events.register(creator, selectors.EVENT_READ, self.on_creator)
        self._listen_for_children()

    def _listen_for_children(self) -> None:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.events.register(read, selectors.EVENT_READ, lambda: self.on_child(read))

    def prepare(self) -> None:
        """Set up what hosts share: template, package layer, bridges, the control socket."""
        mounts = self.spec.mounts
        os.makedirs(mounts)
        kernel.mount("tmpfs", mounts, "tmpfs", kernel.MS_NODEV, "mode=700,size=64m")
        for name in ("template", "layer", "root", "hosts"):
            os.mkdir(f"{mounts}/{name}")
        template.build(f"{mounts}/template")
        layer.mount(self.spec.layer, f"{mounts}/layer")
        run_ip(network.fabric(self.spec.bridges))
        self.bridges = {bridge.name: bridge for bridge in self.spec.bridges}
        control = socket.socket(socket.AF_UNIX)
        old = os.umask(0o177)
        control.bind(f"{self.spec.run_dir}/control")
        os.umask(old)
        control.listen(128)
        self.events.register(control, selectors.EVENT_READ, lambda: self.on_request(control))

    def begin(self) -> None:
        """Boot the hosts in the lab's document; `up` is told when all of them are up, or what went wrong."""
        waited_for = {host.name for host in self.spec.hosts}
        if not waited_for:
            self.tell(event="ready")

        def settled(name: str, why: str) -> None:
            waited_for.discard(name)
            if why:
                self.tell(event="error", text=why)
            elif not waited_for:
                self.tell(event="ready")

        for host in self.spec.hosts:
            self.hosts.put(host, lambda why, name=host.name: settled(name, why))  # type: ignore[misc]

    def on_child(self, pipe: int) -> None:
        """Children exited: hosts, or processes that work inside one."""
        with contextlib.suppress(BlockingIOError):
            os.read(pipe, 4096)
        while (ended := reap())[0] > 0:
            self.hosts.on_ended(*ended)

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
        """Send one line to `up`, while it is connected."""
        if self.creator is not None:
            with contextlib.suppress(OSError):
                self.creator.sendall(json.dumps(event).encode() + b"\n")
        elif event["event"] == "error":
            print(event["text"], file=sys.stderr, flush=True)

    def on_request(self, control: socket.socket) -> None:
        """One request per connection, one JSON object each way; the answer is sent when the request is done."""
        with contextlib.suppress(OSError):
            client, _ = control.accept()
            client.settimeout(1.0)

            def answer(document: object) -> None:
                with contextlib.suppress(OSError), client:
                    client.sendall(json.dumps(document).encode())

            try:
                with client.makefile("rb") as stream:
                    request = json.loads(stream.readline(LIMIT))
                if request["do"] in ("status", "spec"):
                    answer(self.status() if request["do"] == "status" else self.document())
                else:
                    self.change(request, lambda why: answer({"error": why} if why else {}))
            except Exception as error:  # noqa: BLE001  whatever was asked: the asker hears what is wrong with it
                answer({"error": f"{type(error).__name__}: {error}"})

    def status(self) -> dict[str, Any]:
        """Each host's state; pids are those in the lab's pid namespace."""
        return {n: {"state": h.state, "boots": h.boots, "pid": h.pid} for n, h in self.hosts.all.items()}

    def document(self) -> Any:
        """The lab's document as it is now."""
        hosts = [host.spec for host in self.hosts.all.values()]
        return msgspec.to_builtins(msgspec.structs.replace(self.spec, bridges=list(self.bridges.values()), hosts=hosts))

    def change(self, request: dict[str, Any], done: Done) -> None:
        """Create, update or remove one network, host or service; the others keep running."""
        match request:
            case {"do": "put-network", "network": it}:
                bridge = msgspec.convert(it, BridgeSpec)
                run_ip(network.settle(bridge) if bridge.name in self.bridges else network.add(bridge))
                self.bridges[bridge.name] = bridge
                done("")
            case {"do": "drop-network", "name": name}:
                if self.bridges.pop(name, None):
                    run_ip(network.remove(name))
                done("")
            case {"do": "put-host", "host": it}:
                self.hosts.put(msgspec.convert(it, HostSpec), done)
            case {"do": "drop-host", "name": name}:
                self.hosts.drop(name, done)
            case {"do": "put-service", "host": host, "service": it}:
                self.hosts.put_service(host, msgspec.convert(it, ServiceSpec), done)
            case {"do": "drop-service", "host": host, "name": name}:
                self.hosts.drop_service(host, name, done)
            case {"do": "live", "seconds": seconds}:
                self.ends = time.clock_gettime(time.CLOCK_BOOTTIME) + float(seconds)
                done("")
            case _:
                done(f"unknown request: {request.get('do')}")

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
        """Remove everything, then exit: there may be nobody else to clean up."""
        with contextlib.suppress(ProcessLookupError):
            volume.thaw(os.getpid())
            os.kill(-1, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and reap()[0] >= 0:
            time.sleep(0.005)
        with contextlib.suppress(OSError):
            kernel.unmount(self.spec.mounts)
        self.hosts.close_volumes()
        volume.wait_released(self.spec.home, 2)
        with contextlib.suppress(OSError):
            cgroup.remove(self.spec.name)
        shutil.rmtree(self.spec.home, ignore_errors=True)
        shutil.rmtree(self.spec.run_dir, ignore_errors=True)
        if self.lock >= 0:
            records.forget_lock(self.spec.name)
        os._exit(0)


def _receive(creator: socket.socket) -> LabSpec:
    with creator.makefile("rb") as stream:
        return msgspec.json.decode(stream.readline(LIMIT), type=LabSpec)


def _namespaces() -> None:
    """Private mounts, with this pid namespace's /proc (the kernel then lets hosts mount theirs)."""
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def main() -> None:
    """The starter: create the namespaces, fork the lab init, report its pid and exit."""
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
        lab.begin()
        lab.run()
    except BaseException as error:  # report any error and leave nothing behind
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        creator.sendall(json.dumps({"event": "error", "text": f"{error}"}).encode() + b"\n")
        raise
    finally:
        if lab is not None:
            lab.end()


if __name__ == "__main__":
    main()
