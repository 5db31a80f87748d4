"""Looks at the hosts while the fault is held: does somebody guard each of them, and is the fault still in?"""

from __future__ import annotations

import time
from collections.abc import Sequence

from stormdesk.core.errors import StormdeskError
from stormdesk.core.states import State
from stormdesk.host import probe
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Events
from stormdesk.ssh.pool import Pool

EVERY_S = 4.0
LOOK_S = 3.0  # a host that does not answer within this is not asked this time


class Looks:
    """The looks of one run. A host that the fault cut off is not asked."""

    def __init__(self, hosts: Sequence[HostRun], pool: Pool, record: Events) -> None:
        self._hosts = {host.host: host for host in hosts if not host.plan.control.cuts}
        self._pool = pool
        self._record = record
        self._next = time.monotonic() + EVERY_S / 2
        self._over = False

    def end(self) -> None:
        """The hold is over. A look that is under way may see what the revert has undone: it says nothing any more."""
        self._over = True

    def due(self) -> bool:
        """Look if it is time to. False when a host has no watchdog any more: then the hold must end."""
        if self._hosts and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            answers = self._pool.each(self._hosts, lambda name: self._look(self._hosts[name]))
            return not any(answer is False for answer in answers.values() if not isinstance(answer, StormdeskError))
        return True

    def _look(self, host: HostRun) -> bool:
        assert host.host_record is not None
        folder = f"{host.host_record.base}/{host.plan.id.run_id}"
        done = self._pool.run(host.host, ("sh", f"{folder}/look.sh", folder), LOOK_S)
        if self._over:
            return True
        watchdogs, still = probe.look(done.stdout)
        since_s = round(time.monotonic() - host.injected_mono, 1)
        if still == 0:
            host.seen_s = since_s
        elif still == 1 and not host.over_s:
            host.over_s = since_s
        if watchdogs or host.host_record.state == State.REVERTED:
            return True
        host.unguarded = f"{since_s:g} s after the inject none of its watchdogs was alive; the hold ended there"
        self._record.event("S6.unguarded", host=host.host, since_s=since_s)
        return False
