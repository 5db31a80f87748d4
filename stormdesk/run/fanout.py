"""One fault on all hosts of a run: all are armed before one is injected, and all are healed at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from stormdesk.core.clocks import spread_s
from stormdesk.core.errors import StormdeskError
from stormdesk.core.outcome import HostEnd
from stormdesk.run import control
from stormdesk.run.blast import Blast
from stormdesk.run.breakpoints import Breakpoint
from stormdesk.run.hostrun import HostRun
from stormdesk.run.peers import Peers
from stormdesk.run.record import Events
from stormdesk.run.show import Show
from stormdesk.ssh.pool import Pool

START_S = 0.3  # from the last acknowledgement to the common instant: long enough for every host to have heard of it
START_PER_HOST_S = 0.01
REPLY_S = 0.5  # an injector that cuts our link waits for its reply to leave


def _verified(host: HostRun) -> str:
    """What is known of a host that is clean."""
    if not (others := len(host.delta.others)):
        return "fingerprint as before (verified)"
    return f"as before but for {others} {'change' if others == 1 else 'changes'} by others, kept (verified)"


class Fanout:
    """The hosts of a run. `healed_t` (seconds since 1970) is when the last of them began to undo; 0 until then."""

    def __init__(
        self,
        hosts: Sequence[HostRun],
        blast: Blast,
        pool: Pool,
        record: Events,
        show: Show,
        breakpoint_: Breakpoint | None = None,
    ) -> None:
        self.hosts = hosts
        self._breakpoint = breakpoint_
        self._blast = blast
        self.healed_t = 0.0
        self._pool = pool
        self._record = record
        self._show = show
        self._spread_noted = False

    def inject(self) -> None:
        """One round trip for one host, if no other host counts. Else all acknowledgements first, then a look at who holds the
        others, then all injects at one instant. With a breakpoint the injects wait for its event, which waits for them.

        Raises RefusedError when others leave no room for the run, or the event does not come, and HostError for a host that lets
        no new connection in any more."""
        peers = Peers(self.hosts, self._pool, self._record, self._show)
        peers.look()
        began = at = time.monotonic()
        if len(self.hosts) == 1 and not self._blast.rivals and self._breakpoint is None:
            self.hosts[0].arm(inject=True)
            control.look(self.hosts[0], self._pool, self._record)
        else:
            wait_s = self._breakpoint.within_s if self._breakpoint else 0.0
            self._each(lambda host: host.arm(inject=False, wait_s=wait_s))
            self._blast.confirm()
            if self._breakpoint:
                self._breakpoint.come()
                began = time.monotonic()
            at = time.monotonic()
            if len(self.hosts) > 1:
                at += START_S + START_PER_HOST_S * len(self.hosts)
            self._each(lambda host: self._inject(host, at))
            if self._breakpoint:
                self._breakpoint.landed()
        took = time.monotonic() - began
        for host in self.hosts:
            text = f"{host.evidence}" if host.evidence else "armed and sent; the host itself is the witness"
            self._show.phase("inject", f"{host.host}: {text}", took, ok=True)
        self._note_spread()
        if any(host.plan.control.cuts for host in self.hosts):
            time.sleep(max(0.0, at - time.monotonic()) + REPLY_S)
        peers.agree()

    def heal(self) -> list[HostEnd]:
        """Revert and verify on all hosts that may have heard of the run, at once. Never raises for a host: its end says it."""
        began = time.monotonic()
        ends = [*self._breakpoint.let_go()] if self._breakpoint else []
        named = {host.host: host for host in self.hosts if host.intended}
        errors = self._pool.each(named, lambda name: named[name].heal()) if named else {}
        self._note_spread()
        self.healed_t = max((host.lifted_t for host in named.values()), default=0.0) or time.time()
        for name, host in named.items():
            error = errors[name]
            ends.append(
                HostEnd(
                    name,
                    host.clean,
                    host.as_planned,
                    host.reverted_by or "controller",
                    host.lateness_ms,
                    host.evidence,
                    host.host_record.value("started_by") if host.host_record else "",
                    str(error or ""),
                    host.ended_early,
                    host.unguarded,
                )
            )
            late = f", {host.lateness_ms} ms after the deadline" if host.lateness_ms else ""
            by = "" if host.reverted_by == "controller" else f" by {host.reverted_by}{late}"
            hits = "".join(f", {count} hits in all" for count in host.hits.values())
            done = f"{name}: {host.plan.change.reverts_what}{by}{hits}; {_verified(host)}"
            text = done if host.clean else str(error)
            self._show.phase("revert", text, time.monotonic() - began, ok=host.clean is True)
        return ends

    def _inject(self, host: HostRun, at: float) -> None:
        host.inject(at)
        control.look(host, self._pool, self._record)

    def _each(self, act: Callable[[HostRun], None]) -> None:
        named = {host.host: host for host in self.hosts}
        for answer in self._pool.each(named, lambda name: act(named[name])).values():
            if isinstance(answer, StormdeskError):
                raise answer

    def _note_spread(self) -> None:
        """How far apart the injects were, once every host has said when its own was."""
        instants = [host.injected_mono for host in self.hosts]
        if len(instants) < 2 or self._spread_noted or not all(instants):
            return
        self._spread_noted = True
        spread_ms = round(1000 * spread_s(instants))
        uncertain_ms = round(1000 * max(host.ahead.uncertain_s for host in self.hosts))
        self._record.event("S4.spread", hosts=len(instants), spread_ms=spread_ms, uncertain_ms=uncertain_ms)
        self._show.phase("inject", f"{len(instants)} hosts within {spread_ms} ms (known to {uncertain_ms} ms)")
