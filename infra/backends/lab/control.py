"""The controller's side of a lab: start, query, open sockets inside it, stop, remove leftovers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

import stormdesk
from stormdesk.core.errors import HostError, RefusedError
from stormdesk.infra.backends.lab import cgroup, enter, kernel, processes, records, volume
from stormdesk.infra.backends.lab.spec import LabSpec
from stormdesk.ssh.signals import defer_signals

TOOLS = {"ip": "iproute2", "mkfs.ext4": "e2fsprogs", "mount": "util-linux"}
LIBRARIES = ("aiohttp", "aiokafka", "prometheus_client", "psycopg", "redis", "yarl")  # import names of the extra `lab`
INSTALL = "pip install 'stormdesk[lab]'"
START_S, STOP_S = 30.0, 10.0


def require() -> None:
    """RefusedError, in one line, where a lab cannot run, whatever its package layer."""
    if sys.platform != "linux":
        raise RefusedError("the lab needs Linux (namespaces); use --backend static with your own hosts")
    if os.geteuid() != 0:
        raise RefusedError("the lab needs root (network namespaces, mounts). Type: sudo -E .venv/bin/invoke ...")
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        raise RefusedError(f"the lab needs {', '.join(missing)}. Type: apt-get install {' '.join(missing)}")
    if absent := missing_libraries():
        raise RefusedError(f"the lab's services need {', '.join(absent)}. Type: {INSTALL}")


def missing_libraries() -> Sequence[str]:
    """The modules that the stack's services import and this interpreter lacks."""
    return [name for name in LIBRARIES if find_spec(name) is None]


def python_paths() -> tuple[str, list[str]]:
    """The interpreter that runs the services on hosts, and the directories it needs there besides /usr."""
    packages = {Path(stormdesk.__file__).parent, *_installed()}
    needed = {sys.base_prefix, sys.prefix, *map(str, packages), *(str((it / "testnet").resolve()) for it in packages)}
    binds = sorted(path for path in needed if not path.startswith("/usr"))
    inner = {p for p in binds for outer in binds if p != outer and p.startswith(outer + "/")}
    return sys.executable, [path for path in binds if path not in inner]


def _installed() -> Sequence[Path]:
    """Where the interpreter finds this package without the current folder on its path, as in a Pulumi program."""
    places = [place for place in sys.path if Path(place).absolute() != Path.cwd()]
    found = PathFinder.find_spec(stormdesk.__name__, places)
    return [Path(found.origin).parent] if found and found.origin else []


def start(spec: LabSpec, lock: int, commit: Callable[[int], None]) -> int:
    """Start a lab and wait until its hosts run; `commit(pid)` records that it exists. Returns the lab init's pid.

    On any error the lab is removed before the error is raised.
    """
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", processes.MODULE, spec.name, str(lock)]
    pid: int = 0
    with ours, open(f"{spec.home}/lab.log", "ab") as log:
        with theirs:
            starter = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=log, stderr=log, pass_fds=(lock,), cwd="/"
            )
        try:
            ours.settimeout(START_S)
            ours.sendall(msgspec.json.encode(spec) + b"\n")
            with ours.makefile("rb") as events:
                pid = _event(events, "pid", spec)["pid"]
                _event(events, "ready", spec)
            commit(pid)
            ours.sendall(b"commit\n")
        except BaseException:
            ours.close()
            starter.wait(STOP_S)
            stop(pid or processes.labs().get(spec.name, 0))
            raise
        starter.wait(STOP_S)
    return pid


def _event(events: Any, wanted: str, spec: LabSpec) -> dict[str, Any]:
    """The next event from the lab init. RefusedError with its text if it is not `wanted`."""
    try:
        line = events.readline()
        event: dict[str, Any] = json.loads(line) if line else {"event": "end", "text": "the lab init ended"}
    except TimeoutError:
        event = {"event": "timeout", "text": f"not ready within {START_S:.0f} s"}
    if event["event"] != wanted:
        log = Path(spec.home, "lab.log").read_text(errors="replace").strip().splitlines()[-1:]
        why = " | ".join(dict.fromkeys([event["text"], *log]))
        raise RefusedError(f"lab {spec.name} did not start, and nothing of it is left: {why}")
    return event


def stop(pid: int) -> None:
    """Kill a lab init, and with it everything in the lab, and wait until it is gone. 0 and dead processes are accepted."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid) if pid else -1
        if handle < 0:
            return
        try:
            deadline = time.monotonic() + STOP_S
            volume.thaw(pid)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            while not select.select([handle], [], [], 0.2)[0]:
                volume.thaw(pid)  # it may have been frozen again meanwhile
                if time.monotonic() > deadline:
                    raise HostError(
                        f"lab init {pid} does not end: one of its processes is stuck in the kernel (ps -o pid,wchan)"
                    )
        finally:
            os.close(handle)


def sweep(name: str, home: str, *, keep_home: bool = False) -> bool:
    """Remove what a dead lab left behind: loop devices, cgroups, directories. True: there was something.

    With `keep_home` the environment's own directory stays, because the caller still uses it.
    """
    record = records.read(name)
    home = record.home if record else home
    found = name in cgroup.labs() or name in records.names() or os.path.isdir(home)
    if not volume.wait_released(f"{home}/", 5.0):
        raise HostError(f"environment {name}: an image below {home} is still mounted somewhere (losetup -a)")
    if record:
        volume.remove_nodes(record.loops)
    cgroup.remove(name)
    shutil.rmtree(f"{home}/volumes" if keep_home else home, ignore_errors=True)
    shutil.rmtree(records.run_dir(name), ignore_errors=True)
    return found


def status(name: str) -> Mapping[str, Mapping[str, Any]]:
    """The lab init's report on its hosts: state, boots, pid (in the lab's pid namespace). Empty when it does not answer."""
    with contextlib.suppress(HostError):
        states: Mapping[str, Mapping[str, Any]] = ask(name, {"do": "status"}, 5.0)
        return states
    return {}


def ask(name: str, request: Mapping[str, Any], seconds: float = 30.0) -> Any:
    """Send one request to a lab init (see init.py) and return its answer. HostError: what went wrong."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(seconds)
            client.connect(str(records.run_dir(name) / "control"))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as stream:
                answer = json.loads(stream.read())
    except (OSError, ValueError) as error:
        raise HostError(f"lab {name} does not answer: {error}") from error
    if why := answer.get("error"):
        raise HostError(f"lab {name}: {why}")
    return answer


def host_pids(name: str, init: int) -> Mapping[str, int]:
    """The pid 1 of each running host, in this process's pid namespace; empty if `init` is 0 (no lab)."""
    if not init:
        return {}
    seen = processes.children(init)
    return {host: seen[state["pid"]] for host, state in status(name).items() if state["pid"] in seen}


def proxy_command(name: str) -> str:
    """The ProxyCommand that gets ssh into a lab (with ProxyUseFdpass)."""
    words = (quick_python(), "-I", "-S", str(Path(enter.__file__).resolve()), str(records.run_dir(name)))
    return f"{shlex.join(words)} %h %p"


def quick_python() -> str:
    """A Python for the ProxyCommand: the system's own starts fastest and every user can run it."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def socket_inside(pid: int, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A TCP socket in the network namespace of process `pid`; any thread can connect it.

    A separate thread enters the namespace, creates the socket and ends, so no other thread leaves the machine's network.
    """
    result: list[socket.socket | BaseException] = []

    def enter_and_make() -> None:
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                kernel.setns(namespace, kernel.CLONE_NEWNET)
                result.append(socket.socket(family, socket.SOCK_STREAM))
            finally:
                os.close(namespace)
        except OSError as error:
            result.append(error)

    with defer_signals():
        thread = threading.Thread(target=enter_and_make)
        thread.start()
        thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def ssh_answers(pid: int, address: str) -> bool:
    """Does an sshd send its banner at `address` in the network of process `pid`?"""
    with contextlib.suppress(OSError), socket_inside(pid) as client:
        client.settimeout(1.0)
        client.connect((address, 22))
        return client.recv(4) == b"SSH-"
    return False


def http_answer(pid: int, address: str, port: int, path: str) -> tuple[int, str]:
    """GET a path in the network of process `pid`: status and body, or (0, reason) without an answer within 2 s."""
    client = http.client.HTTPConnection(address, port)
    try:
        client.sock = socket_inside(pid)
        client.sock.settimeout(2.0)
        client.sock.connect((address, port))
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        client.close()


def listening(pid: int) -> set[int]:
    """The listening TCP ports in the network namespace of process `pid`."""
    ports = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    ports.add(int(words[1].rpartition(":")[2], 16))
    return ports
