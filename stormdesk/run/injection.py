"""One fault of a run on its hosts, from its plan to the end of its healing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from stormdesk.core.model import HostFacts
from stormdesk.core.outcome import HostEnd
from stormdesk.core.plan import Plan
from stormdesk.core.safety import Allow
from stormdesk.core.schedule import Op
from stormdesk.run.blast import Blast
from stormdesk.run.breakpoints import Breakpoint, Holder
from stormdesk.run.fanout import Fanout
from stormdesk.run.hostrun import HostRun
from stormdesk.run.looks import Looks
from stormdesk.run.prepare import Prepared
from stormdesk.run.record import Events
from stormdesk.run.request import inject
from stormdesk.run.show import Show
from stormdesk.ssh.pool import Pool


class Injection:
    """`beside` are the facts of the hosts that other faults of the same run may hold at the same time."""

    def __init__(
        self,
        op: Op,
        prepared: Sequence[Prepared],
        pool: Pool,
        record: Events,
        show: Show,
        allow: Allow,
        beside: Mapping[str, HostFacts],
        holder: Holder | None = None,
    ) -> None:
        self.op = op
        self.do = inject(op)
        self.ends: list[HostEnd] | None = None  # once it is healed
        self._pool = pool
        self._record = record
        self.hosts = [HostRun(p.plan, p.facts, pool, record, allow) for p in prepared]
        facts = {**beside, **(holder.facts if holder else {}), **{p.plan.id.host: p.facts for p in prepared}}
        blast = Blast(pool, self.plan.id.run_id, facts, allow)
        self._breakpoint = Breakpoint(holder, record, show) if holder else None
        self.fanout = Fanout(self.hosts, blast, pool, record, show, self._breakpoint)
        self._looks: Looks | None = None
        self._until = 0.0
        self.began = 0.0  # its hold, monotonic

    @property
    def plan(self) -> Plan:
        """That of the first host: its clock is the run's."""
        return self.hosts[0].plan

    @property
    def cut(self) -> set[str]:
        """The hosts that the fault cuts off from us."""
        return {host.host for host in self.hosts if host.plan.control.cuts}

    @property
    def injected_t(self) -> float:
        """When it was in, in seconds since 1970; 0 if it never was."""
        return self.hosts[0].injected_t

    def inject(self) -> None:
        """Arm and inject; the hold begins when this returns. Raises what a Fanout raises."""
        self.fanout.inject()
        self.began = time.monotonic()
        self._looks = Looks(self.hosts, self._pool, self._record)
        for host in self.hosts:
            self._record.event("S6.hold", host=host.host, hold_s=self.do.hold_s)
        due = [host.due_mono for host in self.hosts if host.plan.control.cuts]
        self._until = max(due, default=self.began + self.do.hold_s)

    def left_s(self) -> float:
        """Seconds of the hold that are left."""
        return max(0.0, self._until - time.monotonic())

    def look(self) -> None:
        """Look at the hosts if it is time to. A host that has no watchdog any more ends the hold."""
        if self._looks is not None and not self._looks.due():
            self._until = time.monotonic()

    def heal(self) -> list[HostEnd]:
        """Revert and verify on all its hosts that may have heard of it. Never raises for a host: its end says it."""
        if self._looks is not None:
            self._looks.end()
        self.ends = self.fanout.heal()
        return self.ends

    def event_left(self) -> str:
        """What is held for it at the moment, and until when; "" for nothing."""
        return self._breakpoint.left() if self._breakpoint else ""

    def halt(self) -> None:
        """Cut short an inject that is still under way: its connections close, and what it has not armed yet it never will."""
        if self._breakpoint:
            self._breakpoint.halted = True
        for host in self.hosts:
            host.halted = True
            self._pool.drop(host.host)
