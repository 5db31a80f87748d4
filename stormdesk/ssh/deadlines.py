"""Instants of the monotonic clock at which something with paramiko must be done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import paramiko

from stormdesk.ssh.signals import safe_point

CONNECT_TIMEOUT_S = 30.0  # for a connection, from TCP to log-in and with all its tries; and again for its shell
# One pipe tells of both streams, and paramiko changes it under a lock for each: when both move at once, it may miss one.
LOOK_S = 0.1


def left(until: float) -> float:
    """Seconds until that instant, at least a millisecond."""
    return max(until - time.monotonic(), 0.001)


def bounded(act: Callable[[], object], transport: paramiko.Transport, until: float) -> None:
    """Do something with a transport that must be done at an instant of the monotonic clock; else it is closed, and TimeoutError.

    In a thread of its own, for paramiko does not limit all of its waits, and a signal is to end them.
    """
    failed: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 -- raised again by whoever waits
            failed.append(error)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    while not done.wait(min(left(until), LOOK_S)):
        safe_point()
        if time.monotonic() >= until:
            transport.close()
            raise TimeoutError("no answer in time")
    if failed:
        raise failed[0]
