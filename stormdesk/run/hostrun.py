"""One fault on one host, from S1 to S9: the protocol of DESIGN section 3 as seen from the controller.

    S1 INTENT  our record is fsynced before the host hears anything
    S2-S5      one round trip: arm, acknowledge, inject, witness; the host refuses to inject without the acknowledgement
    S6 HOLD    the runner's
    S7-S8      one round trip: revert and verify; then our record is fsynced
    S9 CLEAR   only after S8

A lost answer is never guessed at and never retried as an inject: it counts as injected, and the host is asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from stormdesk.core.clocks import UNMEASURED, Ahead
from stormdesk.core.errors import HostError, RefusedError, ResidueError, StormdeskError, TransportError
from stormdesk.core.model import Completed, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.safety import NOTHING_MORE, Allow
from stormdesk.core.states import State
from stormdesk.host import probe, render
from stormdesk.host.probe import NO_DELTA, Delta, HostRecord
from stormdesk.host.scripts import host_scripts
from stormdesk.run import host_events
from stormdesk.run.record import Events
from stormdesk.ssh import patience
from stormdesk.ssh.pool import Pool

REVERT_PATIENCE_S = 10.0
SCRIPT_MARGIN_S = 10.0
SPARE_S = 20.0  # from the arming of a host to its inject, where others are armed or asked meanwhile
RECONNECT_S = 20.0  # past the deadline, how long to wait for a host that its fault cut off
MAX_LATENESS_MS = 3000  # of a planned watchdog revert
FIRES_S = 1.5  # so long past its deadline a watchdog that is alive has begun to revert

REFUSED, INJECT_REFUSED = 10, 11  # exit codes of the host scripts


@dataclass
class HostRun:
    """State of one plan on its host. `intended` is set before the host hears of it; from then on it must be healed."""

    plan: Plan
    facts: HostFacts
    pool: Pool
    record: Events
    allow: Allow = NOTHING_MORE
    intended: bool = False
    armed_mono: float = 0.0
    due_mono: float = 0.0  # when its watchdog reverts
    ahead: Ahead = UNMEASURED
    injected_t: float = 0.0  # by the controller's wall clock, from the host's own record
    lifted_t: float = 0.0
    evidence: str = ""
    host_record: HostRecord | None = None
    clean: bool | None = None
    delta: Delta = NO_DELTA
    cleared: bool = False
    halted: bool = False  # nothing may be armed any more: set by another thread, which then heals what is `intended`
    unguarded: str = ""  # since when it had no watchdog, in words
    seen_s: float = 0.0  # when the fault was last seen in, in seconds after the inject
    over_s: float = 0.0  # when it was first seen not to be in any more, by a look in the hold
    _not_after_s: float = 0.0  # by the host's time since boot: when it refuses our arming
    _offset_t: float = 0.0  # our wall clock minus the host's time since boot

    @property
    def host(self) -> str:
        return self.plan.id.host

    @property
    def reverted_by(self) -> str:
        return self.host_record.value("reverted_by") if self.host_record else ""

    @property
    def ended_early(self) -> str:
        """When it was last seen, in seconds after the inject, where somebody else ended it; else ""."""
        over = self.over_s or (self.host_record is not None and self.host_record.value("ended_early"))
        confirmed = self.host_record.at(State.CONFIRMED) if self.host_record else None
        first_s = confirmed.uptime_cs / 100 - self.ahead.s - self.injected_mono if confirmed else 0.0
        return f"{max(self.seen_s, first_s):.1f}" if over else ""

    @property
    def hits(self) -> dict[str, int]:
        """How often it struck in all, where a service counted; empty for the others."""
        text = self.host_record.value("hits") if self.host_record else ""
        return {"hits": int(text)} if text else {}

    @property
    def lateness_ms(self) -> int:
        return self.host_record.lateness_ms if self.host_record else 0

    @property
    def as_planned(self) -> bool:
        """Did the one revert that was planned to, and in time? After a restart of the host that was not planned, nobody did."""
        if self.plan.effects.reboots:
            return self._restarted and self.reverted_by == "boot"
        if self._restarted:
            return False
        if self.plan.control.cuts:
            return self.reverted_by == "watchdog" and self.lateness_ms <= MAX_LATENESS_MS
        return self.reverted_by == "controller"

    @property
    def _restarted(self) -> bool:
        """Has the host restarted since it was armed, as its record says?"""
        return self.host_record is not None and bool(self.host_record.value("restarted"))

    @property
    def injected(self) -> bool:
        """May the fault have been in? What the host's record says; without one, unless the host is known to be clean."""
        if self.host_record is not None:
            return self.host_record.bites or (self.plan.effects.reboots and self._restarted)
        return self.intended and self.clean is not True

    def arm(self, *, inject: bool, wait_s: float = 0.0) -> None:
        """S1-S3 and, with `inject`, S4-S5. Raises RefusedError when the host said no and nothing was done.

        Without, the deadline is SPARE_S and `wait_s` later until `inject` brings it forward.
        """
        spare_s = 0.0 if inject else patience.scaled(SPARE_S) + wait_s
        self._not_after_s = self._uptime_s() + patience.scaled(self.plan.timing.inject_budget_s)
        script = render.arm(
            host_scripts(), self.plan, self.facts, inject=inject, allow_no_boot_hook=self.allow.no_boot_hook,
            not_after_s=self._not_after_s, spare_s=spare_s, most_faults=self.allow.most_faults,
        )  # fmt: skip
        self.record.write(f"scripts/{self.host}-arm.sh", script)
        self.record.intent(host=self.host, plan_hash=self.plan.hash(), ttl_s=self.plan.timing.ttl_s)
        self.intended = not self.halted
        if not self.intended:
            raise RefusedError(f"{self.host}: the run was stopped before it was armed")
        self.armed_mono = time.monotonic()
        self.due_mono = self.armed_mono + self.plan.timing.ttl_s + spare_s
        self._script(script, inject=inject)

    def _uptime_s(self) -> float:
        """The host's time since boot, as far as we know it: not later than it is."""
        return time.monotonic() + self.facts.ahead.low

    def inject(self, at: float) -> None:
        """S4-S5 of a host that is armed, at the instant `at` (monotonic); its deadline is the plan's `ttl_s` later."""
        assert self.host_record is not None
        at_cs = round(100 * (at + self.ahead.s))
        script = render.inject(
            host_scripts(),
            self.host_record.base, self.plan.id.run_id, cuts=self.plan.control.cuts,
            at_cs=at_cs, until_cs=at_cs + round(100 * self.plan.timing.ttl_s),
        )  # fmt: skip
        self.due_mono = min(self.due_mono, at + self.plan.timing.ttl_s)
        self._script(script, inject=True)

    def _script(self, script: str, *, inject: bool) -> None:
        sent = time.monotonic()
        done = self.pool.script(self.host, script, self.plan.timing.inject_budget_s)
        if done.code == REFUSED:
            self.intended = False
            raise RefusedError(f"{self.host}: {probe.refusal(done.stdout)}")
        known = self.host_record
        self._take(done.stdout, sent)
        if known is None:
            host_events.armed(self)
        if not inject or self.plan.control.cuts:
            return
        self._injected()
        if done.code == INJECT_REFUSED:
            raise RefusedError(f"{self.host}: {probe.refusal(done.stdout)}")
        if done.code != 0:
            last = self.host_record.lines[-1] if self.host_record else None
            raise HostError(
                f"{self.host}: {self.plan.id.fault} did not take effect: {last.state + ' ' + last.text if last else done.stderr[-200:]}"
            )

    def _take(self, text: str, sent: float) -> None:
        found = {record.run_id: record for record in probe.records(text)}
        if self.plan.id.run_id not in found:
            raise HostError(f"{self.host}: no record of {self.plan.id.run_id} in its answer: {text[-200:]!r}")
        self.host_record = found[self.plan.id.run_id]
        received = time.monotonic()
        self.ahead = self.facts.ahead.narrowed(Ahead.seen(probe.uptime_cs(text) / 100, sent, received))
        self._offset_t = time.time() - received - self.ahead.s
        self.injected_t = self.at(State.INJECTING) or self.injected_t
        self.lifted_t = self.at(State.REVERTING) or self.lifted_t

    def _injected(self) -> None:
        if self.host_record and (confirmed := self.host_record.at(State.CONFIRMED)):
            self.evidence = confirmed.text
        host_events.injected(self)

    def at(self, state: str) -> float:
        """When the host entered that state, by our wall clock; 0 if it never did."""
        line = self.host_record.at(state) if self.host_record else None
        return round(self._offset_t + line.uptime_cs / 100, 3) if line else 0.0

    @property
    def injected_mono(self) -> float:
        """When it was injected, by our monotonic clock; 0 if that is not known (yet)."""
        line = self.host_record.at(State.INJECTING) if self.host_record else None
        return line.uptime_cs / 100 - self.ahead.s if line else 0.0

    # ---- S7 to S9 ----------------------------------------------------------------------------------------------------

    def left_s(self) -> float:
        """Seconds until the host's watchdog reverts by itself."""
        return max(0.0, self.due_mono - time.monotonic())

    def revert(self, who: str = "controller") -> None:
        """S7 and S8, on a new connection if the old one is gone. Raises ResidueError or TransportError."""
        self.record.event("S7.revert", host=self.host, by="watchdog" if self.plan.control.cuts else who)
        patience_s = REVERT_PATIENCE_S + self.plan.timing.undo_wait_s
        not_after_s = self._not_after_s or self._uptime_s() + patience.scaled(self.plan.timing.inject_budget_s)
        script = render.revert(host_scripts(), self.plan.id.run_id, who, patience_s, not_after_s)
        if self.plan.control.cuts:
            self._after_the_cut()
        sent = time.monotonic()
        done = self._twice(script, patience_s + SCRIPT_MARGIN_S)
        if done.stdout.strip() == "unfenced":
            raise ResidueError(
                f"DIRTY {self.host}: it knows nothing of {self.plan.id.run_id} yet, and cannot keep it out: no room on its tmpfs. "
                f"Run in {patience.scaled(self.plan.timing.inject_budget_s):g} s: invoke chaos.status"
            )
        if done.stdout.strip() == "gone":
            self._gone()
            return
        self._take(done.stdout, sent)
        if self.plan.control.cuts and not self.evidence:
            self._injected()
        if self.plan.effects.reboots and self._restarted:
            self.evidence = f"it restarted, and its record of the run was found by {self.reverted_by}"
        self.delta = probe.delta(done.stdout)
        self.clean = done.code == 0
        self.record.event(
            "S8.verified",
            host=self.host,
            clean=self.clean,
            reverted_by=self.reverted_by,
            lateness_ms=self.lateness_ms,
            lifted_t=self.lifted_t,
            **self.delta.event(),
            **self.hits,
        )
        if not self.clean:
            raise ResidueError(
                f"DIRTY {self.host}: {'; '.join(self.delta.left[:3]) or 'not as it was before'}. "
                f"Run: invoke chaos.revert --run {self.plan.id.run_id}"
            )

    def _after_the_cut(self) -> None:
        """It is the watchdog that is to revert, also where the connection lived: another port carried it."""
        waits = self.host_record and not self.left_s() and not self.plan.effects.reboots
        at = self.host_record.value("deadline") if self.host_record and waits else ""
        self._again()
        if at:
            time.sleep(max(0.0, int(at) / 100 - self.ahead.s + FIRES_S - time.monotonic()))

    def _again(self) -> None:
        # The host may be out of reach until its watchdog has reverted.
        self.pool.drop(self.host)
        self.pool.reconnect(self.host, self.left_s() + patience.scaled(RECONNECT_S))

    def _twice(self, script: str, deadline_s: float) -> Completed:
        """Unlike an inject, a revert or a clear whose answer was lost may be asked for again, on a new connection."""
        try:
            return self.pool.script(self.host, script, deadline_s)
        except TransportError:
            self._again()
            return self.pool.script(self.host, script, deadline_s)

    def _gone(self) -> None:
        """The host knows nothing of the run: it never heard of it, or it restarted, or somebody removed the record. An arming
        that is still on its way is refused by now."""
        done = self.pool.run(self.host, ("cat", "/proc/sys/kernel/random/boot_id"), SCRIPT_MARGIN_S)
        restarted = done.stdout.strip() != self.facts.identity.boot_id
        never = self.host_record is None
        self.clean = restarted or never
        why = "restart" if restarted else "never injected" if never else "record removed by somebody"
        self.record.event("S8.verified", host=self.host, clean=self.clean, diff=[], reverted_by=why, lateness_ms=0)
        if not self.clean:
            raise ResidueError(f"DIRTY {self.host}: the record of {self.plan.id.run_id} is gone. Run: invoke chaos.status")

    def clear(self) -> None:
        """S9. Raises HostError when the host refuses: then the record stays and chaos.recover finishes it."""
        done = self._twice(render.clear(host_scripts(), self.plan.id.run_id), SCRIPT_MARGIN_S)
        if done.code != 0:
            said = done.stdout.strip() or done.stderr.strip()
            raise HostError(f"{self.host}: could not clear the record of {self.plan.id.run_id}: {said}")
        self.cleared = True
        self.record.event("S9.cleared", host=self.host, reverted_by=self.reverted_by, lateness_ms=self.lateness_ms)

    def heal(self) -> StormdeskError | None:
        """Revert, verify and clear if there is anything to; the error instead of raising it."""
        if not self.intended or self.cleared:
            return None
        try:
            if not self.clean:
                self.revert()
            self.clear()
        except StormdeskError as error:
            return error
        return None
