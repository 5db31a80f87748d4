"""Deadlines for calls into paramiko, as instants of the monotonic clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import paramiko

from stormdesk.ssh.signals import safe_point

CONNECT_TIMEOUT_S = 30.0  # for a connection, from TCP to log-in with all its tries; the same again for its shell
# paramiko signals both streams through one pipe, under a lock for each: when both change at once, a wake-up can be lost.
LOOK_S = 0.1


def left(until: float) -> float:
    """Seconds until that instant, at least a millisecond."""
    return max(until - time.monotonic(), 0.001)


def bounded(act: Callable[[], object], transport: paramiko.Transport, until: float) -> None:
    """Call `act`, which uses `transport`. If it is not done at `until`, close the transport and raise TimeoutError.

    It runs in a thread of its own: some of paramiko's waits have no limit, and a signal must be able to end them.
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
