"""One fault on all hosts of a run: all are armed before one is injected, and all are healed at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from stormdesk.drive.hostrun import HostRun
from stormdesk.drive.pool import Pool
from stormdesk.drive.record import Record
from stormdesk.drive.show import Show
from stormdesk.errors import HostError, StormdeskError, TransportError
from stormdesk.outcome import HostEnd


class Fanout:
    """The hosts of a run. `healed_t` (seconds since 1970) is when the last of them began to undo; 0 until then."""

    def __init__(self, hosts: Sequence[HostRun], pool: Pool, record: Record, show: Show) -> None:
        self.hosts = hosts
        self.healed_t = 0.0
        self._pool = pool
        self._record = record
        self._show = show

    def inject(self) -> None:
        """One round trip for one host. Several: all acknowledgements first, then all injects."""
        began = time.monotonic()
        if len(self.hosts) == 1:
            self.hosts[0].arm(inject=True)
        else:
            self._each(lambda host: host.arm(inject=False))
            self._each(HostRun.inject)
        took = time.monotonic() - began
        for host in self.hosts:
            text = f"{host.evidence}" if host.evidence else "armed and sent; the host itself is the witness"
            self._show.phase("inject", f"{host.host}: {text}", took, ok=True)
            self._peer_witness(host)

    def heal(self) -> list[HostEnd]:
        """Revert and verify on all hosts that may have heard of the run, at once. Never raises for a host: its end says it."""
        began = time.monotonic()
        ends = []
        named = {host.host: host for host in self.hosts if host.intended}
        errors = self._pool.each(named, lambda name: named[name].heal()) if named else {}
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
                )
            )
            late = f", {host.lateness_ms} ms after the deadline" if host.lateness_ms else ""
            by = "" if host.reverted_by == "controller" else f" by {host.reverted_by}{late}"
            hits = "".join(f", {count} hits in all" for count in host.hits.values())
            done = f"{name}: {host.plan.reverts_what}{by}{hits}; fingerprint as before (verified)"
            text = done if host.clean else str(error)
            self._show.phase("revert", text, time.monotonic() - began, ok=host.clean is True)
        return ends

    def _each(self, act: Callable[[HostRun], None]) -> None:
        named = {host.host: host for host in self.hosts}
        for answer in self._pool.each(named, lambda name: act(named[name])).values():
            if isinstance(answer, StormdeskError):
                raise answer

    def _peer_witness(self, host: HostRun) -> None:
        peer = host.plan.peer_witness
        if peer is None:
            return
        if host.plan.cuts_control:
            time.sleep(0.5)  # the injector waits for its reply to leave
        try:
            done = self._pool.run(peer.host, peer.argv, 5)
            code, why = done.code, done.stderr.strip()
        except TransportError as error:
            code, why = None, str(error)
        if code not in (0, peer.code):  # out of reach, or its own network is broken: it cannot tell
            self._record.event("witness.peer", host=peer.host, argv=list(peer.argv), code=code, why=why)
            return
        seen = code == peer.code
        self._record.event("witness.peer", host=peer.host, argv=list(peer.argv), code=code, agrees=seen)
        self._show.phase(
            "witness",
            f"{peer.host} {'gets no answer' if seen else 'STILL GETS AN ANSWER'} ({' '.join(peer.argv)})",
            ok=seen,
        )
        if not seen:
            raise HostError(f"{peer.host} still reaches {host.host}: the fault does not bite from the other side")
