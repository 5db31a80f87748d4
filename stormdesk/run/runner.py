"""Runs a schedule and proves what happened: prepare, steady, play, heal, recover, check, verdict. One fault is a schedule too.

Whatever happens after the first host has heard of the run, `heal` runs; and if we do not live to run it, the hosts heal
by themselves. cli/api.py begins and ends a run of one fault around somebody else's code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

import msgspec

from stormdesk import __version__
from stormdesk.core.errors import ExitCode, RefusedError, StormdeskError, TransportError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.core.outcome import HostEnd, Outcome, conclude
from stormdesk.core.schedule import Op
from stormdesk.run import consent
from stormdesk.run.aside import Acting, Aside, no_acts
from stormdesk.run.breakpoints import HolderOf, nobody
from stormdesk.run.conductor import Conductor, Hands
from stormdesk.run.controllers import process_start
from stormdesk.run.goals import Goals, of_faults
from stormdesk.run.hostrun import HostRun
from stormdesk.run.injection import Injection
from stormdesk.run.live import Live
from stormdesk.run.prepare import controller_identity
from stormdesk.run.record import OpRecord, Record, new_run_id, runs_folder
from stormdesk.run.recovery import Observer
from stormdesk.run.request import Request, inject, parameters, told
from stormdesk.run.run_checks import CUT, Proof
from stormdesk.run.show import Show
from stormdesk.run.stack import Watch
from stormdesk.run.whole import Plans
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import LeaveNow, Signals
from stormdesk.ssh.transport import Dialer


def run(
    request: Request,
    inventory: Inventory,
    dialer: Dialer,
    show: Show,
    watch: Watch,
    acting: Acting = no_acts,
    holder_of: HolderOf = nobody,
) -> Outcome:
    """Do it. What the stack is asked and told: `watch`, `acting` for operators' tasks, `holder_of` for who holds an event.

    Raises UsageError, RefusedError or TransportError while nothing was touched; afterwards it always returns.
    """
    with Pool(inventory, dialer) as pool, Signals() as signals:
        run_id = new_run_id()
        began = time.monotonic()
        plans = Plans(pool, request, run_id, watch(pool), holder_of)
        plans.show(show, time.monotonic() - began)
        if request.plan_hash and request.plan_hash != plans.hash:
            raise RefusedError(
                f"the plan is not {request.plan_hash} any more but {plans.hash}. Look again: --plan. Nothing was changed"
            )
        if request.plan_only:
            return plans.only(show)
        if request.confirm:
            consent.ask(request.schedule, show)
        record = Record(runs_folder() / run_id, run_id)
        try:
            one = Run(request, plans, record, show, signals, acting)
            with one.live:
                return one.go()
        finally:
            record.close()


class Run:
    """One run of one schedule. `go()` is the whole of it. `plans` were made before anything was touched."""

    def __init__(
        self, request: Request, plans: Plans, record: Record, show: Show, signals: Signals, acting: Acting = no_acts
    ) -> None:
        self.request = request
        self.plans = plans
        self.pool = plans.pool
        self.record = record
        self.live = Live(record.folder, record.said)
        self.show = show
        self.signals = signals
        self.proof = Proof(self.pool, record, show)
        self.observer = Observer(record, show, self.proof, plans.stack, request.stop_when)
        self.aside = aside = Aside(self.pool, record, show, acting)
        hands = Hands(self._injection, aside.act, aside.ask, aside.note)
        self.conductor = Conductor(request.schedule, hands, self.observer, show)

    @property
    def injections(self) -> list[Injection]:
        """Those that were begun."""
        return self.conductor.injections

    @property
    def hosts(self) -> list[HostRun]:
        return [host for each in self.injections for host in each.hosts]

    @property
    def healed_t(self) -> float:
        """When the last host began to undo, in seconds since 1970; 0 before that."""
        return max((each.fanout.healed_t for each in self.injections), default=0.0)

    def go(self) -> Outcome:
        stopped = failure = ""
        no: StormdeskError | None = None
        self._started()
        try:
            self._steady_before()
            self.conductor.play()
            self._held()
        except (RefusedError, UsageError, TransportError) as error:
            no = error
        except LeaveNow:
            return self._leave()
        except KeyboardInterrupt as signal:
            stopped = str(signal) or "Ctrl-C"
        except StormdeskError as error:
            failure = str(error)
            self.show.phase("inject", failure, ok=False)
        except Exception:
            self._heal()
            raise
        try:
            ends = self._heal()
            if no is not None:
                stopped = self._stopped_by(no, ends)
            checks, recovery = self._prove(stopped=bool(stopped), failed=bool(failure))
        except LeaveNow:
            return self._leave()
        if self.signals.count and not stopped:
            stopped = "Ctrl-C while the hosts were healing"
        outcome = conclude(
            self.record.run_id, ends, checks, stopped=stopped, failure=failure, recovery=recovery
        )  # fmt: skip
        return self._finish(outcome)

    def _stopped_by(self, no: StormdeskError, ends: Sequence[HostEnd]) -> str:
        """Somebody said no, or could not be reached. Raises it where no fault was in anywhere: nothing was touched."""
        if all(end.clean for end in ends) and not any(host.injected for host in self.hosts):
            self.record.event("verdict", verdict="unknown", residue="clean", exit_code=int(no.exit_code), why=str(no))
            raise no
        stopped = f"{'a lost connection' if isinstance(no, TransportError) else 'a refusal'}: {no}"
        self.show.phase("inject", stopped, ok=False)
        return stopped

    def begin(self) -> None:
        """The fault is in, and witnessed. Whatever this raises, `end` comes next: the hosts may have heard of the run."""
        try:
            self._started()
            for op in self.request.schedule.injects:
                self.injections.append(injection := self._injection(op))
                injection.inject()
        except LeaveNow:
            self._leave()
            raise

    def end(self, checks: Sequence[CheckResult], stopped: str = "") -> Outcome:
        """Revert and verify; `checks` is what the caller found meanwhile, `stopped` why it did not get that far. Never
        raises for a host: the outcome says it."""
        try:
            ends = self._heal()
        except LeaveNow:
            self._leave()
            raise
        bit = [CheckResult("witness", Verdict.HELD, end.witness) for end in ends if end.witness]
        outcome = conclude(self.record.run_id, ends, [*bit, *checks], stopped=stopped)
        return self._finish(outcome)

    # ---- the phases, in order ----------------------------------------------------------------------------------------

    def _started(self) -> None:
        controller = controller_identity()
        schedule = self.request.schedule
        identity = {"boot_id": controller.boot_id, "pid_namespace": controller.pid_namespace}
        several = {} if len(schedule.ops) == 1 else {"ops": [told(op) for op in schedule]}
        self.record.event(
            "run.started",
            argv=list(self.request.argv),
            fault=self.request.fault,
            params={} if several else parameters(inject(schedule.injects[0]).fault),
            environment=self.pool.inventory.environment,
            hosts=self.plans.hosts,
            targets=msgspec.to_builtins(self.plans.targets),
            hold_s=self.request.hold_s,
            ttl_s=max(plan.timing.ttl_s for plan in self.plans.all),
            rto_s=self.request.rto_s,
            runbook=dict(self.request.runbook),
            seed=self.request.seed,
            plan_hash=self.plans.hash,
            controller={"pid": os.getpid(), "start": process_start(os.getpid()), **identity},
            version=__version__,
            **several,
        )
        self._write_plans()
        self.record.require()

    def _write_plans(self) -> None:
        self.record.write_json("plan.json", [msgspec.to_builtins(plan) for plan in self.plans.all])

    def _injection(self, op: Op) -> Injection:
        """The fault of an operation, ready: one that comes later is planned again, as its hosts are by then."""
        prepared = self.plans.ready(op)
        if op.after:
            self._write_plans()
        record = self.record if len(self.request.schedule.injects) == 1 else OpRecord(self.record, op.id)
        beside, holder = self.plans.beside(op), self.plans.holder(op)
        return Injection(op, prepared, self.pool, record, self.show, self.request.allow, beside, holder)

    def _steady_before(self) -> None:
        results = self.proof.steady("before")
        bad = [result for result in results if result.verdict is not Verdict.HELD]
        if bad and not self.request.allow.unsteady:
            raise RefusedError(
                f"not steady before we touched anything: {bad[0].id}: {bad[0].why}. Fix that or pass --allow-unsteady"
            )
        self.proof.remember()
        self.observer.first()  # what counters are compared with

    def _held(self) -> None:
        """The hold of what comes last is over."""
        left = [each for each in self.injections if each.ends is None]
        for each in left:
            took_s = each.do.hold_s if each.cut else time.monotonic() - each.began
            self.show.phase("hold", self.observer.sample("hold", each.cut), took_s)

    def _heal(self) -> list[HostEnd]:
        self.signals.shield()
        self.conductor.stop()
        left = {each.op.id: each for each in self.injections if each.ends is None}
        self.pool.each(left, lambda name: left[name].heal())
        return [end for each in self.injections for end in each.ends or ()]

    def _prove(self, *, stopped: bool, failed: bool) -> tuple[list[CheckResult], CheckResult | None]:
        if stopped or failed:
            return [], None
        recovery = self.observer.recover(self.healed_t, self.request.rto_s)
        goals = Goals(self.request.goals, self.injections, self.observer)
        expected = self.observer.expectations([*of_faults(self.injections), *goals.watches])
        asked = self.request
        checks = self.proof.after(self.injections, self.observer.recovery, self.aside.restarted, asked)
        expected += goals.judged(self.record.place(CUT), self.record, self.show)
        seen = {name for result in checks for name in (result.id, result.check)}  # engine.up[a] is engine.up, too
        missing = [name for name in self.request.checks if name not in seen]
        unasked = [CheckResult(name, Verdict.UNKNOWN, "this check did not run") for name in missing]
        return [*expected, *checks, *unasked], recovery

    def _finish(self, outcome: Outcome) -> Outcome:
        self.record.event(
            "verdict",
            verdict=outcome.verdict,
            residue=outcome.residue,
            exit_code=int(outcome.exit_code),
            why=outcome.why,
        )
        self.observer.keep()
        self.live.end()  # before the run directory is sealed
        incomplete = self.record.settle()
        try:
            report = self.proof.report()
        except (StormdeskError, OSError) as error:
            report = str(error)
        head, unsealed = self.record.seal("run")
        self.show.phase("audit", f"not sealed: {unsealed}" if unsealed else f"head {head[:16]}", ok=not unsealed)
        outcome = replace(outcome, run_dir=str(self.record.home), by_signal=self.signals.count > 0)
        self.show.verdict(int(outcome.exit_code), outcome.verdict, outcome.residue, outcome.why, report, outcome.run_id)
        if incomplete:
            self.show.phase("record", incomplete, ok=False)
        more = {"incomplete": incomplete} if incomplete else {}
        chosen = {"targets": msgspec.to_builtins(self.plans.targets), "seed": self.request.seed}
        self.show.result({**asdict(outcome), "next": outcome.next, "report": report, "audit": head, **chosen, **more})
        return outcome

    def _leave(self) -> Outcome:
        """The second signal: say when the hosts heal without us, and go."""
        left = [host for host in self.hosts if host.intended and not host.cleared]
        healed = any(host.cleared for host in self.hosts)
        why = "left at once; " + (
            f"{', '.join(host.host for host in left)} will heal by itself within {max(host.left_s() for host in left):.0f} s"
            if left
            else "the hosts are healed, but nobody looked whether all is well"
            if healed
            else "nothing was in"
        )
        held = "; ".join(filter(None, (each.event_left() for each in self.injections)))
        why += f"; {held}" if held else ""
        return self._finish(
            Outcome(self.record.run_id, ExitCode.DIRTY, Verdict.UNKNOWN, "dirty" if left or held else "clean", why)
        )
