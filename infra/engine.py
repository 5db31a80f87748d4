"""The caller's side of Pulumi on one environment: starts `automation.py`, passes on its messages, and enforces the deadline."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from stormdesk.core.errors import HostError, RefusedError
from stormdesk.infra import home
from stormdesk.infra.backends.lab import processes
from stormdesk.ssh import patience

Say = Callable[[str], None]
UP_S, READ_S, DESTROY_S = 600.0, 180.0, 300.0


def run(verb: str, name: str, seconds: float, say: Say) -> Any:
    """Do `verb` (see automation.VERBS) on environment `name`; returns its result.

    Raises RefusedError: nothing was touched; HostError: the engine failed, with its own message, or was not done after `seconds`.
    The engine never outlives this process.
    """
    command = [sys.executable, "-P", "-m", "stormdesk.infra.automation", verb, name]
    environ = os.environ | {"STORMDESK_HOME": str(home.home())}
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True, cwd="/", env=environ
    )
    deadline = time.monotonic() + patience.scaled(seconds)
    try:
        while (line := _line(child, deadline)) is not None:
            document = json.loads(line)
            if "say" in document:
                say(document["say"])
            elif "error" in document:
                kind = RefusedError if document["code"] == RefusedError.exit_code else HostError
                raise kind(document["error"])
            else:
                return document["result"]
        raise HostError(f"pulumi {verb} {name}: the engine's process ended with {child.wait(5)} and no answer")
    finally:
        _end(child)


def locks(name: str) -> list[Mapping[str, Any]]:
    """The holders of the lock on the environment's local state, from the engine's lock files (pid, username, hostname, timestamp)."""
    folder = home.directory(name) / "pulumi/state"
    found: list[Mapping[str, Any]] = []
    for path in folder.glob(".pulumi/locks/**/*.json"):
        with contextlib.suppress(OSError, ValueError):
            lock = json.loads(path.read_text())
            found += [lock] if isinstance(lock, dict) and isinstance(lock.get("pid", 0), int) else []
    return found


def describe(lock: Mapping[str, Any]) -> str:
    """The owner of a lock, for people."""
    who = f"{lock.get('username')}@{lock.get('hostname')}, pid {lock.get('pid')}"
    return f"held by {who}, since {lock.get('timestamp')}"


def alive(lock: Mapping[str, Any]) -> bool:
    """Whether the holder may still be working. On another machine that is unknown, so True."""
    return lock.get("hostname") != os.uname().nodename or bool(processes.start_time(int(lock.get("pid", 0))))


def unlock(name: str, say: Say) -> None:
    """Break the lock that a dead engine left on an environment's state, after reporting its owner.

    Raises RefusedError when its holder is alive.
    """
    home.check_name(name)
    record = home.read_record(name)
    if record is not None and record.engine == home.CLI:
        say(f"environment {name}: its state is in your own Pulumi backend. Type: pulumi cancel --stack {name}")
        return
    held = locks(name)
    if not held:
        say(f"environment {name}: nobody holds its state")
        return
    for lock in held:
        say(describe(lock))
    if any(alive(lock) for lock in held):
        raise RefusedError(f"environment {name}: who holds its state is still at work. End that first")
    run("unlock", name, READ_S, say)
    say(f"environment {name}: unlocked")


def _line(child: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """The next line of the child's output; None at its end."""
    assert child.stdout is not None
    while not select.select([child.stdout], [], [], 0.5)[0]:
        if time.monotonic() > deadline:
            raise HostError(
                f"pulumi: not done in time, and stopped. Type the command again, or: invoke env.down. {patience.hint()}"
            )
    return child.stdout.readline() or None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all its descendants."""
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
    try:
        child.wait(2.0)
    except subprocess.TimeoutExpired:
        processes.end_below(child.pid)
        child.kill()
        child.wait(5.0)
