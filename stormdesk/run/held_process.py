"""A process as the holder of an event: a plan of its own on its host, armed and reverted like any other; so it is let go whatever
becomes of us, by the watchdog of that host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stormdesk.core.anchors import Event
from stormdesk.core.errors import HostError, UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, Completed, HostFacts
from stormdesk.core.outcome import HostEnd
from stormdesk.core.plan import Plan
from stormdesk.core.safety import NOTHING_MORE, Allow
from stormdesk.host import render
from stormdesk.host.scripts import host_scripts
from stormdesk.run.breakpoints import SPARE_S, Window
from stormdesk.run.hostrun import HostRun
from stormdesk.run.prepare import Prepared, prepare
from stormdesk.run.record import Events, Record, new_run_id
from stormdesk.ssh import patience
from stormdesk.ssh.pool import Pool

ANSWER_S = 5.0
NOT_YET = 1  # exit code of the host's word


class ProcessHolder:
    """Holds the process of a service at a system call. `fault_of(service)` plans that on its host."""

    def __init__(self, pool: Pool, event: Event, within_s: float, fault_of: Callable[[str], Fault]) -> None:
        self.event = event
        self.within_s = within_s
        self.host = event.host
        self._pool = pool
        self._fault = fault_of(service_of(event, pool.inventory))
        self._id = new_run_id()
        self._allow = NOTHING_MORE
        self._prepared: Prepared | None = None
        self._run: HostRun | None = None
        self._record: Record | None = None

    @property
    def facts(self) -> Mapping[str, HostFacts]:
        return {self.host: self._prepared.facts} if self._prepared else {}

    def prepare(self, allow: Allow) -> Sequence[Plan]:
        ttl_s = self.within_s + patience.scaled(SPARE_S)
        host = self._pool.inventory.host(self.host)
        self._allow = allow
        (self._prepared,) = prepare(self._pool, self._fault, [host], self._id, self.within_s, ttl_s, allow)
        return [self._prepared.plan]

    def set(self, record: Events) -> str:
        assert self._prepared is not None
        self._record = Record(record.folder / "breakpoint", self._id)
        self._run = HostRun(self._prepared.plan, self._prepared.facts, self._pool, self._record, self._allow)
        self._run.arm(inject=True)
        return f"{self._run.evidence} (its own record on {self.host}: {self._id})"

    def wait(self, within_s: float) -> str:
        done = self._ask(("sd_break_wait", str(round(within_s))), within_s)
        if done.code == NOT_YET:
            return ""
        _, _, text = done.stdout.strip().partition(" ")
        if done.code != 0:
            raise HostError(
                f"{self.host}: {self.event} cannot come any more: {done.stdout.strip() or done.stderr.strip()[-200:]}"
            )
        return f"thread {text}"

    def window(self) -> Window:
        assert self._run is not None
        identity = self._run.plan.change.steps[0].do[1]
        done = self._ask(("sd_break_held", identity, self.event.syscall))
        return Window(done.code == 0, done.stdout.strip() or done.stderr.strip()[-200:])

    def let_go(self) -> None:
        if self._run is None:
            return
        error = self._run.heal()
        assert self._record is not None
        self._record.close()
        if error is not None:
            raise error

    def ends(self) -> Sequence[HostEnd]:
        run = self._run
        if run is None or not run.intended:
            return []
        why = "" if run.clean else f"the breakpoint is still set.   invoke chaos.revert --run {self._id}"
        by = run.reverted_by or "controller"
        return [HostEnd(self.host, run.clean, run.as_planned, by, run.lateness_ms, run.evidence, why_dirty=why)]

    def _ask(self, argv: Argv, within_s: float = 0.0) -> Completed:
        assert self._run is not None
        assert self._run.host_record is not None
        script = render.ask(host_scripts(), self._run.host_record.base, self._id, argv)
        return self._pool.script(self.host, script, ANSWER_S + within_s)


def service_of(event: Event, inventory: Inventory) -> str:
    """The service whose process it is. Raises UsageError for an unknown host or service, and where it must be named."""
    host = inventory.host(event.host)
    known = ", ".join(sorted(host.services)) or "none that the inventory names"
    if event.service:
        if event.service not in host.services:
            raise UsageError(f"--at {event}: {event.host} runs {known}")
        return event.service
    if host.role in host.services:
        return host.role
    if len(host.services) == 1:
        return next(iter(host.services))
    raise UsageError(
        f"--at {event}: which service? {event.host} runs {known}. e.g. --at {event.host}/SERVICE:{event.syscall}:{event.nth}"
    )
