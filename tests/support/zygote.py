"""`invoke` as a real process without its second of imports: a fork of a process that has them already.

    process = start("chaos.disk-full", "--host", "trader-a", env=...)
    done = run("chaos.status", "--json")

What is started has a process, a session, an environment, signals and standard streams of its own, as `python -m invoke` in the
checkout has. Where the start of Python itself is what a test is about (streams that are closed, a terminal, an installed wheel), the
test starts that. Linux: a process is waited for by its pidfd.

As a script it is the process that forks: it reads requests from the socket that it is given, and ends when that is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (  # what runs and checks need; tasks.py itself is read by each
    "invoke.main", "jinja2", "paramiko", "pytest", "_pytest.junitxml", "stormdesk.checks.run", "stormdesk.cli.catalogue",
    "stormdesk.cli.check_tasks", "stormdesk.cli.commands", "stormdesk.cli.front", "stormdesk.cli.runbooks", "stormdesk.cli.show",
    "stormdesk.cli.streams", "stormdesk.cli.tasks.chaos", "stormdesk.cli.tasks.check", "stormdesk.cli.tasks.dev",
    "stormdesk.cli.tasks.env", "stormdesk.cli.tasks.gameday", "stormdesk.cli.tasks.stack", "stormdesk.cli.tasks.start",
    "stormdesk.cli.tasks.venue", "stormdesk.desk.venue_faults", "stormdesk.evidence.report", "stormdesk.infra.backends.lab.backend",
    "stormdesk.infra.dialing", "stormdesk.infra.environment", "stormdesk.infra.existing", "stormdesk.infra.over_ssh",
    "stormdesk.run.operate", "stormdesk.run.runner",
    "stormdesk.testnet.venue.faults",
)  # fmt: skip


class Process:
    """What tests use of subprocess.Popen."""

    def __init__(self, words: tuple[str, ...], env: Mapping[str, str]) -> None:
        self.args = ("invoke", *words)
        self.returncode: int | None = None
        self._streams: list[IO[bytes]] = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115  until the end
        self._said: list[str] = []
        with open(os.devnull, "rb") as nothing:
            fds = [nothing.fileno(), *(stream.fileno() for stream in self._streams)]
            self.pid = int(_ask({"words": self.args, "env": dict(env)}, fds))
        self._fd = os.pidfd_open(self.pid)

    def __del__(self) -> None:
        """A test may leave one that it never waits for: its files go with it, without a warning in some other test."""
        for stream in self._streams:
            stream.close()

    def poll(self) -> int | None:
        """The exit code; minus the signal's number when one ended it; None while it runs."""
        if self.returncode is None and select.select([self._fd], [], [], 0)[0]:
            self._reap()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As poll, once it has ended. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._fd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._reap()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait as above: what it said on standard output and error."""
        self.wait(timeout)
        for stream in self._streams:
            stream.seek(0)
            self._said.append(stream.read().decode(errors="replace"))
            stream.close()
        self._streams.clear()
        out, err = self._said
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        self.returncode = int(_ask({"reap": self.pid}, []))
        os.close(self._fd)


def start(*words: str, env: Mapping[str, str] | None = None) -> Process:
    """`invoke WORDS` in the checkout, with this process's environment or `env` in its place, and nothing to read."""
    return Process(words, os.environ if env is None else env)


def run(*words: str, env: Mapping[str, str] | None = None, within_s: float = 150) -> subprocess.CompletedProcess[str]:
    """`invoke WORDS` to its end. Raises subprocess.TimeoutExpired, and ends it, after `within_s`."""
    process = start(*words, env=env)
    try:
        out, err = process.communicate(within_s)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


# ---- the process that forks ----------------------------------------------------------------------------------------------

_LOCK = threading.Lock()
_ASKED: list[socket.socket] = []  # at most one, of this process


def _ask(request: Mapping[str, Any], fds: list[int]) -> str:
    """One line of JSON there, one number back."""
    with _LOCK:
        if not _ASKED:
            _ASKED.append(_begin())
        socket.send_fds(_ASKED[0], [json.dumps(request).encode() + b"\n"], fds)
        answer = _line(_ASKED[0])
    assert answer, "the process that forks has ended"
    return answer


def _begin() -> socket.socket:
    ours, theirs = socket.socketpair()
    command = [sys.executable, __file__, str(theirs.fileno())]
    process = subprocess.Popen(
        command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


def _line(link: socket.socket, fds: list[int] | None = None) -> str:
    """Up to the end of a line; "" when the other side has gone."""
    text = b""
    while not text.endswith(b"\n"):
        part, found, _, _ = socket.recv_fds(link, 65536, 3)
        if fds is not None:
            fds += found
        if not part:
            return ""
        text += part
    return text.decode()


def _serve(link: socket.socket) -> int:
    while True:
        fds: list[int] = []
        line = _line(link, fds)
        if not line:
            return 0
        request = json.loads(line)
        if "reap" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["reap"], 0)[1])
        elif (answer := os.fork()) == 0:
            link.close()
            return _become(request, fds)
        for fd in fds:
            os.close(fd)
        link.sendall(b"%d\n" % answer)


def _become(request: Mapping[str, Any], fds: list[int]) -> int:
    """Be that process: what returns or is raised here ends Python as it would there."""
    from invoke.main import program

    os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["words"]
    program.run()
    return 0


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    for name in IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1
    assert "grpc" not in sys.modules, "it does not live through a fork"
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
