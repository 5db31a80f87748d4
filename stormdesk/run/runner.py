"""Runs one fault on its hosts and proves what happened: prepare, steady, inject, hold, heal, recover, check, verdict.

Whatever happens after the first host has heard of the run, `heal` runs; and if we do not live to run it, the hosts heal
by themselves. Gameday uses the same `Run` for its steps; cli/api.py begins and ends one around somebody else's code.
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
from stormdesk.core.plan import Plan
from stormdesk.run.aim import Aim
from stormdesk.run.blast import Blast
from stormdesk.run.controllers import process_start
from stormdesk.run.fanout import Fanout
from stormdesk.run.hostrun import HostRun
from stormdesk.run.looks import Looks
from stormdesk.run.prepare import Prepared, controller_identity, prepare
from stormdesk.run.record import Record, new_run_id, runs_folder
from stormdesk.run.recovery import SAMPLE_S, Observer
from stormdesk.run.request import Request, parameters, plan_digest, show_commands, show_plan
from stormdesk.run.run_checks import Proof
from stormdesk.run.show import Show
from stormdesk.run.stack import Watch
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import LeaveNow, Signals
from stormdesk.ssh.transport import Dialer


def run(request: Request, inventory: Inventory, dialer: Dialer, show: Show, watch: Watch) -> Outcome:
    """Do it. Raises UsageError, RefusedError or TransportError while nothing was touched; afterwards it always returns."""
    with Pool(inventory, dialer) as pool, Signals() as signals:
        run_id = new_run_id()
        began = time.monotonic()
        aim = Aim(request.hosts, inventory, request.seed, watch(pool))
        hosts = [inventory.host(name) for name in aim.hosts]
        prepared = prepare(pool, request.fault, hosts, run_id, request.hold_s, request.ttl_s, request.allow)
        plans = [item.plan for item in prepared]
        plan_hash = plan_digest(plans)
        show_plan(show, run_id, request, hosts, plans, time.monotonic() - began)
        aim.show(show)
        if request.plan_hash and request.plan_hash != plan_hash:
            raise RefusedError(
                f"the plan is not {request.plan_hash} any more but {plan_hash}. Look again: --plan. Nothing was changed"
            )
        if request.plan_only:
            show_commands(show, plans, plan_hash)
            documents = {name: msgspec.to_builtins(value) for name, value in (("targets", aim.targets), ("plans", plans))}
            show.result({"run": run_id, "seed": request.seed, "plan_hash": plan_hash, **documents})
            return Outcome(run_id, ExitCode.HELD, Verdict.UNKNOWN, "untouched", "plan only: nothing was changed")
        record = Record(runs_folder() / run_id, run_id)
        try:
            return Run(request, prepared, pool, record, show, signals, plan_hash, aim).go()
        finally:
            record.close()


class Run:
    """One run of one fault. `go()` is the whole of it."""

    def __init__(
        self,
        request: Request,
        prepared: Sequence[Prepared],
        pool: Pool,
        record: Record,
        show: Show,
        signals: Signals,
        plan_hash: str,
        aim: Aim,
    ) -> None:
        self.request = request
        self.aim = aim
        self.pool = pool
        self.record = record
        self.show = show
        self.signals = signals
        self.plan_hash = plan_hash
        self.hosts = [HostRun(p.plan, p.facts, pool, record, request.allow) for p in prepared]
        blast = Blast(pool, record.run_id, {p.plan.id.host: p.facts for p in prepared}, request.allow)
        self.fanout = Fanout(self.hosts, blast, pool, record, show)
        self.proof = Proof(pool, record, show)
        self.observer = Observer(record, show, self.proof, aim.stack)

    @property
    def plan(self) -> Plan:
        return self.hosts[0].plan

    def go(self) -> Outcome:
        stopped = failure = ""
        no: StormdeskError | None = None
        self._started()
        try:
            self._steady_before()
            self.aim.confirm()
            self.fanout.inject()
            self._hold()
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
            self.aim.confirm()
            self.fanout.inject()
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
        fault = self.request.fault
        identity = {"boot_id": controller.boot_id, "pid_namespace": controller.pid_namespace}
        self.record.event(
            "run.started",
            argv=list(self.request.argv),
            fault=fault.name,
            params=parameters(fault),
            environment=self.pool.inventory.environment,
            hosts=[host.host for host in self.hosts],
            targets=msgspec.to_builtins(self.aim.targets),
            hold_s=self.request.hold_s,
            ttl_s=self.plan.timing.ttl_s,
            rto_s=self.request.rto_s,
            runbook=dict(self.request.runbook),
            seed=self.request.seed,
            plan_hash=self.plan_hash,
            controller={"pid": os.getpid(), "start": process_start(os.getpid()), **identity},
            version=__version__,
        )
        self.record.write_json("plan.json", [msgspec.to_builtins(host.plan) for host in self.hosts])
        self.record.require()

    def _steady_before(self) -> None:
        results = self.proof.steady("before")
        bad = [result for result in results if result.verdict is not Verdict.HELD]
        if bad and not self.request.allow.unsteady:
            raise RefusedError(
                f"not steady before we touched anything: {bad[0].id}: {bad[0].why}. Fix that or pass --allow-unsteady"
            )
        self.proof.remember()
        self.observer.sample("steady")  # what counters are compared with

    def _hold(self) -> None:
        hold_s = self.request.hold_s
        cut = {host.host for host in self.hosts if host.plan.control.cuts}
        began, began_t = time.monotonic(), time.time()
        looks = Looks(self.hosts, self.pool, self.record)
        for host in self.hosts:
            self.record.event("S6.hold", host=host.host, hold_s=hold_s)
        if self.plan.effects.rto_from == "inject":
            self.observer.clock_from(self.hosts[0].injected_t or began_t)
        until = max((host.due_mono for host in self.hosts if host.host in cut), default=began + hold_s)
        while (left := until - time.monotonic()) > 0:
            if not looks.due():
                break
            text = self.observer.sample("hold", cut)
            self.show.progress("hold", hold_s - left, hold_s, f"{max(0, left):.0f} s left   {text}")
            time.sleep(max(0.0, min(SAMPLE_S, until - time.monotonic())))
        self.show.phase("hold", self.observer.sample("hold", cut), time.monotonic() - began)

    def _heal(self) -> list[HostEnd]:
        self.signals.shield()
        return self.fanout.heal()

    def _prove(self, *, stopped: bool, failed: bool) -> tuple[list[CheckResult], CheckResult | None]:
        if stopped or failed:
            return [], None
        recovery = self.observer.recover(self.fanout.healed_t, self.request.rto_s)
        clocks = {"inject": self.hosts[0].injected_t or None, "lift": self.fanout.healed_t or None}
        expected = self.observer.expectations(self.request.expect, clocks)
        checks = self.proof.after(self.hosts, self.observer.recovery, self.fanout.healed_t, self.request.rto_s)
        seen = {
            name for check in checks for name in (check.id, check.id.partition("[")[0])
        }  # also of all hosts: engine.up[a]
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
        incomplete = self.record.settle()
        try:
            report = self.proof.report()
        except (StormdeskError, OSError) as error:
            report = str(error)
        outcome = replace(outcome, run_dir=str(self.record.home))
        self.show.verdict(int(outcome.exit_code), outcome.verdict, outcome.residue, outcome.why, report, outcome.run_id)
        if incomplete:
            self.show.phase("record", incomplete, ok=False)
        more = {"incomplete": incomplete} if incomplete else {}
        chosen = {"targets": msgspec.to_builtins(self.aim.targets), "seed": self.request.seed}
        self.show.result({**asdict(outcome), "next": outcome.next, "report": report, **chosen, **more})
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
        return self._finish(
            Outcome(self.record.run_id, ExitCode.DIRTY, Verdict.UNKNOWN, "dirty" if left else "clean", why)
        )
