"""testinfra with deadlines: no check hangs on a half-broken host.

testinfra's own paramiko backend has a deadline for connecting only and reads stdout before stderr, so a stalled disk or 8 MB of
errors blocks it for good; its ssh backend has no deadline either. Here every command has one hard deadline.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host

from stormdesk.core.errors import ConnectFailed, DeadlineExceeded, UsageError
from stormdesk.core.model import Argv, Completed
from stormdesk.core.shell import words
from stormdesk.ssh.parallel import READ_S, Run

SSH_FAILED = 255  # ssh(1): its own exit code when the connection, not the command, failed


class StormdeskBackend(BaseBackend):
    """Runs commands by a `Run` callable, such as the pool's, which shares one connection per host.

    No connection is kept here: after a partition the pool decides whether the old one still works.
    """

    NAME = "stormdesk"

    def __init__(self, hostname: str, run: Run | None = None, deadline_s: float = READ_S, **kwargs: Any) -> None:
        if run is None:
            raise UsageError(f"stormdesk://{hostname} needs an inventory. Type: pytest checks/ --inventory FILE")
        super().__init__(hostname, **kwargs)
        self._ask = run
        self._deadline_s = deadline_s
        self._encoding = "UTF-8"

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:  # type: ignore[explicit-override]  # from 3.12
        """Raises TransportError when no answer came in time."""
        text = self.get_command(command, *args)
        done = self._ask(self.hostname, ("sh", "-c", text), self._deadline_s)
        return self.result(done.code, self.encode(text), done.stdout, done.stderr)


class BoundedSshBackend(SshBackend):
    """testinfra's ssh backend with a deadline on each command: the meaning of `ssh://` in our checks only."""

    NAME = "stormdesk-ssh"
    deadline_s = READ_S

    def run_local(self, command: str, *args: str) -> CommandResult:  # type: ignore[explicit-override]  # from 3.12
        text = self.encode(self.quote(command, *args))
        try:
            done = subprocess.run(  # noqa: S602  testinfra has quoted every argument
                text, shell=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=self.deadline_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(f"{self.hostname}: no answer within {self.deadline_s:g} s") from error
        return self.result(done.returncode, text, done.stdout, done.stderr)

    def run_ssh(self, command: str) -> CommandResult:  # type: ignore[explicit-override]  # from 3.12
        try:
            return super().run_ssh(command)
        except RuntimeError as error:
            out = error.args[0]
            raise ConnectFailed(f"{self.hostname}: {out.stderr.strip() or 'ssh ended with 255'}") from error

    def hang_up(self) -> None:
        """End the shared connection that ssh keeps for the next command."""
        command, args = self._build_ssh_command("true")
        self.run_local(" ".join([command[0], "-O exit", *command[1:]]), *args)


# Registered under our own names: in a project's own pytest, `ssh://` stays testinfra's.
for _backend in (StormdeskBackend, BoundedSshBackend):
    testinfra.backend.BACKENDS[_backend.NAME] = f"{__name__}.{_backend.__name__}"


def pooled(names: Iterable[str], run: Run) -> Mapping[str, Host]:
    """testinfra hosts on a `Run` callable. Created anew each time: testinfra's cache would outlive the connections."""
    return {name: _host(StormdeskBackend(name, run=run)) for name in names}


def by_hostspec(specs: Iterable[str], ssh_config: Path | None, sockets: Path) -> Mapping[str, Host]:
    """testinfra hosts from `ssh://name`, `docker://name`, …; `sockets` is a short path for ssh's shared connections."""
    bounded = BoundedSshBackend.NAME
    options: dict[str, Any] = {"connection": bounded, "controlpath": f"{sockets}/%%C", "controlpersist": int(READ_S)}
    if ssh_config is not None:
        options["ssh_config"] = str(ssh_config)
    ours = [re.sub("^ssh://", f"{bounded}://", spec) for spec in specs]
    return {backend.get_hostname(): _host(backend) for backend in testinfra.backend.get_backends(ours, **options)}


def run_on(hosts: Mapping[str, Host]) -> Run:
    """The `Run` callable for testinfra hosts; the deadline of each command is its backend's."""

    def run(name: str, argv: Argv, deadline_s: float) -> Completed:
        del deadline_s
        if name not in hosts:
            raise ConnectFailed(f"{name} is in the inventory but not among --hosts")
        result = hosts[name].run(words(argv))
        return Completed(argv, result.rc, result.stdout, result.stderr)

    return run


def _host(backend: BaseBackend) -> Host:
    host = Host(backend)
    backend.set_host(host)
    return host
