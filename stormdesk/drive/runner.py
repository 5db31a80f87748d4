"""Runs one fault on its hosts and proves what happened: prepare, steady, inject, hold, heal, recover, check, verdict.

Whatever happens after the first host has heard of the run, `heal` runs; and if we do not live to run it, the hosts heal
by themselves. Gameday uses the same `Run` for its steps; drive/api.py begins and ends one around somebody else's code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import msgspec

from stormdesk import __version__, shell
from stormdesk.drive.hostrun import HostRun
from stormdesk.drive.operate import process_start
from stormdesk.drive.pool import Pool
from stormdesk.drive.prepare import Prepared, controller_identity, prepare
from stormdesk.drive.proof import Proof
from stormdesk.drive.record import Record, new_run_id, runs_folder
from stormdesk.drive.sampling import Sampler
from stormdesk.drive.show import Show
from stormdesk.drive.signals import LeaveNow, Signals
from stormdesk.drive.transports.ssh import Dialer
from stormdesk.errors import ExitCode, HostError, RefusedError, StormdeskError, TransportError, UsageError
from stormdesk.expect import Expectation, Watch
from stormdesk.inventory import Inventory, InventoryHost
from stormdesk.model import CheckResult, Fault, Plan, Verdict
from stormdesk.outcome import HostEnd, Outcome, conclude
from stormdesk.pulse import Pulse, Recovery, ack_p99_ms
from stormdesk.safety import Allow

SAMPLE_S = 0.5
DEFAULT_RTO_S = 30.0


@dataclass(frozen=True)
class Request:
    """What was asked for. `hosts` are names; `ttl_s` None means hold + 15 s; `seed` is kept in the record."""

    fault: Fault
    hosts: tuple[str, ...]
    hold_s: float
    ttl_s: float | None = None
    plan_only: bool = False
    plan_hash: str = ""
    allow: Allow = field(default_factory=Allow)
    seed: int = 0
    rto_s: float = DEFAULT_RTO_S
    argv: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
    checks: tuple[str, ...] = ()  # that must be among the results; empty: whatever applies
    runbook: Mapping[str, str] = field(default_factory=dict)


def run(request: Request, inventory: Inventory, dialer: Dialer, show: Show) -> Outcome:
    """Do it. Raises UsageError, RefusedError or TransportError while nothing was touched; afterwards it always returns."""
    with Pool(inventory, dialer) as pool, Signals() as signals:
        run_id = new_run_id()
        hosts = [inventory.host(name) for name in request.hosts]
        began = time.monotonic()
        prepared = prepare(pool, request.fault, hosts, run_id, request.hold_s, request.ttl_s, request.allow)
        plans = [item.plan for item in prepared]
        plan_hash = plan_digest(plans)
        show_plan(show, run_id, request, hosts, plans, time.monotonic() - began)
        if request.plan_hash and request.plan_hash != plan_hash:
            raise RefusedError(
                f"the plan is not {request.plan_hash} any more but {plan_hash}. Look again: --plan. Nothing was changed"
            )
        if request.plan_only:
            show_commands(show, plans, plan_hash)
            show.result({"run": run_id, "plan_hash": plan_hash, "plans": [msgspec.to_builtins(plan) for plan in plans]})
            return Outcome(run_id, ExitCode.HELD, Verdict.UNKNOWN, "untouched", "plan only: nothing was changed")
        record = Record(runs_folder() / run_id, run_id)
        try:
            return Run(request, prepared, pool, record, show, signals, plan_hash).go()
        finally:
            record.close()


def plan_digest(plans: Sequence[Plan]) -> str:
    """One hash for the plans of all hosts."""
    return (
        "-".join(plan.hash() for plan in plans) if len(plans) <= 2 else f"{plans[0].hash()}-and-{len(plans) - 1}-more"
    )


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
    ) -> None:
        self.request = request
        self.pool = pool
        self.record = record
        self.show = show
        self.signals = signals
        self.plan_hash = plan_hash
        self.hosts = [HostRun(p.plan, p.facts, pool, record, request.allow.no_boot_hook) for p in prepared]
        self.sampler = Sampler(pool)
        self.proof = Proof(pool, record, show)
        self.recovery: Recovery | None = None
        self.last: Pulse | None = None
        self.samples: list[Mapping[str, Any]] = []
        self.healed_t = 0.0

    @property
    def plan(self) -> Plan:
        return self.hosts[0].plan

    def go(self) -> Outcome:
        stopped = failure = ""
        self._started()
        try:
            self._steady_before()
            self._inject()
            self._hold()
        except (RefusedError, UsageError) as error:
            # Of several hosts one said no: those that are armed already are let go.
            if all(end.clean for end in self._heal()):
                self.record.event(
                    "verdict", verdict="unknown", residue="clean", exit_code=int(error.exit_code), why=str(error)
                )
                raise
            failure = str(error)
        except LeaveNow:
            return self._leave()
        except TransportError as error:
            stopped = f"a lost connection: {error}"
            self.show.phase("inject", stopped, ok=False)
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
            checks, recovery = self._prove(stopped=bool(stopped), failed=bool(failure))
        except LeaveNow:
            return self._leave()
        if self.signals.count and not stopped:
            stopped = "Ctrl-C while the hosts were healing"
        outcome = conclude(
            self.record.run_id, ends, checks, stopped=stopped, failure=failure, recovery=recovery, run_dir=str(self.record.folder)
        )  # fmt: skip
        return self._finish(outcome)

    def begin(self) -> None:
        """The fault is in, and witnessed. Whatever this raises, `end` comes next: the hosts may have heard of the run."""
        self._started()
        self._inject()

    def end(self, checks: Sequence[CheckResult]) -> Outcome:
        """Revert and verify; `checks` is what the caller found meanwhile. Never raises for a host: the outcome says it."""
        ends = self._heal()
        bit = [CheckResult("witness", Verdict.HELD, end.witness) for end in ends if end.witness]
        outcome = conclude(self.record.run_id, ends, [*bit, *checks], run_dir=str(self.record.folder))
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
            hold_s=self.request.hold_s,
            ttl_s=self.plan.ttl_s,
            rto_s=self.request.rto_s,
            runbook=dict(self.request.runbook),
            seed=self.request.seed,
            plan_hash=self.plan_hash,
            controller={"pid": os.getpid(), "start": process_start(os.getpid()), **identity},
            version=__version__,
        )
        self.record.write_json("plan.json", [msgspec.to_builtins(host.plan) for host in self.hosts])

    def _steady_before(self) -> None:
        results = self.proof.steady("before")
        bad = [result for result in results if result.verdict is not Verdict.HELD]
        if bad and not self.request.allow.unsteady:
            raise RefusedError(
                f"not steady before we touched anything: {bad[0].id}: {bad[0].why}. Fix that or pass --allow-unsteady"
            )
        self._sample("steady")  # what counters are compared with

    def _inject(self) -> None:
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
            self.show.phase("inject", f"{host.host}: {text}", took, ok=True)
            self._peer_witness(host)

    def _each(self, act: Callable[[HostRun], None]) -> None:
        named = {host.host: host for host in self.hosts}
        for answer in self.pool.each(named, lambda name: act(named[name])).values():
            if isinstance(answer, StormdeskError):
                raise answer

    def _peer_witness(self, host: HostRun) -> None:
        peer = host.plan.peer_witness
        if peer is None:
            return
        if host.plan.cuts_control:
            time.sleep(0.5)  # the injector waits for its reply to leave
        try:
            done = self.pool.run(peer.host, peer.argv, 5)
            code, why = done.code, done.stderr.strip()
        except TransportError as error:
            code, why = None, str(error)
        if code not in (0, peer.code):  # out of reach, or its own network is broken: it cannot tell
            self.record.event("witness.peer", host=peer.host, argv=list(peer.argv), code=code, why=why)
            return
        seen = code == peer.code
        self.record.event("witness.peer", host=peer.host, argv=list(peer.argv), code=code, agrees=seen)
        self.show.phase(
            "witness",
            f"{peer.host} {'gets no answer' if seen else 'STILL GETS AN ANSWER'} ({' '.join(peer.argv)})",
            ok=seen,
        )
        if not seen:
            raise HostError(f"{peer.host} still reaches {host.host}: the fault does not bite from the other side")

    def _hold(self) -> None:
        hold_s = self.request.hold_s
        began, began_t = time.monotonic(), time.time()
        for host in self.hosts:
            self.record.event("S6.hold", host=host.host, hold_s=hold_s)
        if self.plan.rto_from == "inject":
            self.recovery = Recovery(self.hosts[0].injected_t or began_t, self.last)
        until = began + hold_s if not self.plan.cuts_control else self.hosts[0].armed_mono + self.plan.ttl_s
        while (left := until - time.monotonic()) > 0:
            text = self._sample("hold")
            self.show.progress("hold", hold_s - left, hold_s, f"{max(0, left):.0f} s left   {text}")
            time.sleep(max(0.0, min(SAMPLE_S, until - time.monotonic())))
        self.show.phase("hold", self._sample("hold"), time.monotonic() - began)

    def _heal(self) -> list[HostEnd]:
        self.signals.shield()
        began = time.monotonic()
        ends = []
        named = {host.host: host for host in self.hosts if host.intended}
        errors = self.pool.each(named, lambda name: named[name].heal()) if named else {}
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
            text = (
                f"{name}: {host.plan.reverts_what}{by}; fingerprint as before (verified)" if host.clean else str(error)
            )
            self.show.phase("revert", text, time.monotonic() - began, ok=host.clean is True)
        return ends

    def _prove(self, *, stopped: bool, failed: bool) -> tuple[list[CheckResult], CheckResult | None]:
        if stopped or failed:
            return [], None
        recovery = self._recover()
        expected = self._expectations()
        checks = self.proof.after(self.hosts, self.recovery, self.healed_t, self.request.rto_s)
        seen = {
            name for check in checks for name in (check.id, check.id.partition("[")[0])
        }  # also of all hosts: engine.up[a]
        missing = [name for name in self.request.checks if name not in seen]
        unasked = [CheckResult(name, Verdict.UNKNOWN, "this check did not run") for name in missing]
        return [*expected, *checks, *unasked], recovery

    def _expectations(self) -> list[CheckResult]:
        """Judge what the runbook expects; those that may still come true are waited for."""
        clocks = {"inject": self.hosts[0].injected_t or None, "lift": self.healed_t or None}
        watches = [Watch(expectation, clocks) for expectation in self.request.expect]
        until = max((clocks[w.expectation.after] or 0) + w.expectation.within_s for w in watches) if watches else 0.0
        while time.time() < until and any(watch.judge(self.samples).verdict is not Verdict.HELD for watch in watches):
            self._sample("recover")
            time.sleep(SAMPLE_S)
        results = [watch.judge(self.samples) for watch in watches]
        if results:
            self.record.event("expectations", checks=[asdict(result) for result in results])
        for result in results:
            self.show.phase(
                "expect", f"{result.id.removeprefix('expect: ')}: {result.why}", ok=result.verdict is Verdict.HELD
            )
        return results

    def _recover(self) -> CheckResult:
        """Wait until the stack is steady again; at most the budget and a little more, so that a late one is seen as late."""
        budget = self.request.rto_s
        if self.recovery is None:
            self.recovery = Recovery(self.healed_t, self.last)
        tracker, until = self.recovery, time.monotonic() + budget + 10
        again = self._trading_again if self.pool.inventory.trading else self._steady_again
        took = again(tracker, budget, until)
        self.record.event("recovered", took_s=took, budget_s=budget, why=tracker.why, **{"from": tracker.from_t})
        within = took is not None and took <= budget
        text = (
            f"steady again after {took:.1f} s (budget {budget:g} s)"
            if took is not None
            else f"not within {budget:g} s: {tracker.why}"
        )
        self.show.phase("recover", text, took, ok=within)
        return CheckResult("recovery", Verdict.HELD if within else Verdict.VIOLATED, text)

    def _trading_again(self, tracker: Recovery, budget: float, until: float) -> float | None:
        began = time.monotonic()
        while not tracker.settled(time.time()) and time.monotonic() < until:
            self._sample("recover")
            self.show.progress("recover", time.monotonic() - began, budget, tracker.why or "trading")
            time.sleep(0.25)
        return tracker.took_s if tracker.settled(time.time()) else None

    def _steady_again(self, tracker: Recovery, budget: float, until: float) -> float | None:
        """A stack that is not ours has no pulse: it is well when its steady state holds."""
        began = time.monotonic()
        while True:
            asked = time.time()
            bad = [result for result in self.proof.look() if result.verdict is not Verdict.HELD]
            if not bad:
                tracker.recovered_at = asked
                return tracker.took_s
            tracker.why = f"{bad[0].id}: {bad[0].why}"
            if time.monotonic() >= until:
                return None
            self.show.progress("recover", time.monotonic() - began, budget, tracker.why)
            time.sleep(SAMPLE_S)

    def _finish(self, outcome: Outcome) -> Outcome:
        self.record.event(
            "verdict",
            verdict=outcome.verdict,
            residue=outcome.residue,
            exit_code=int(outcome.exit_code),
            why=outcome.why,
        )
        report = self.proof.report()
        self.show.verdict(int(outcome.exit_code), outcome.verdict, outcome.residue, outcome.why, report, outcome.run_id)
        self.show.result({**asdict(outcome), "report": report})
        return outcome

    def _leave(self) -> Outcome:
        """The second signal: say when the hosts heal without us, and go."""
        left = max((host.left_s() for host in self.hosts if host.intended and not host.cleared), default=0.0)
        names = ", ".join(host.host for host in self.hosts if host.intended and not host.cleared)
        why = (
            f"left at once; {names} will heal by itself within {left:.0f} s"
            if names
            else "left at once; nothing was in"
        )
        return self._finish(
            Outcome(
                self.record.run_id,
                ExitCode.DIRTY,
                Verdict.UNKNOWN,
                "dirty" if names else "clean",
                why,
                str(self.record.folder),
            )
        )

    # ---- samples -----------------------------------------------------------------------------------------------------

    def _sample(self, phase: str) -> str:
        """Take the pulse, keep it, and say it in a few words."""
        cut = self.plan.host if self.plan.cuts_control and phase == "hold" else ""
        sample = self.sampler.read(without=cut)
        now = sample.pulse
        seen = {"phase": phase, "metrics": now.metrics() if now else None, "health": sample.health}
        self.samples.append({"t": sample.t, **seen})
        self.record.event("sample", **seen)
        if self.recovery is not None:
            self.recovery.feed(sample.t, now)
        if now is None:
            return "no trader answers" if self.pool.inventory.trading else ""
        before, self.last = self.last, now
        if before is None or now.t <= before.t or now.accepted < before.accepted:
            return f"orders {now.accepted}  refused {now.refused}"
        p99 = ack_p99_ms(before, now)
        rate = (now.accepted - before.accepted) / (now.t - before.t)
        return f"orders {rate:.1f}/s  refused {now.refused}" + (f"  ack p99 {p99:.0f} ms" if p99 else "")


# ---- saying it ---------------------------------------------------------------------------------------------------------


def parameters(fault: Fault) -> dict[str, str]:
    """The fault's parameters as one would type them; those that were not given are left out."""
    values = {entry.name: getattr(fault, entry.name) for entry in fields(fault)}  # type: ignore[arg-type]
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def show_plan(
    show: Show, run_id: str, request: Request, hosts: Sequence[InventoryHost], plans: Sequence[Plan], took_s: float
) -> None:
    detail = " ".join(f"{name} {value}" for name, value in parameters(request.fault).items())
    show.header(run_id, request.fault.name, [f"{host.name} ({host.target})" for host in hosts], detail, request.hold_s)
    for plan in plans:
        show.phase("plan", f"{plan.says} · undo: {plan.reverts_what}", took_s)
    by = "the host's watchdog reverts it" if plans[0].cuts_control else "dead-man timer on the host fires"
    show.phase("guard", f"{by} {plans[0].ttl_s:.0f} s after arming, even if this terminal dies", ok=True)


def show_commands(show: Show, plans: Sequence[Plan], plan_hash: str) -> None:
    """`--plan`: the exact commands, hosts and undo."""
    for plan in plans:
        for step in plan.steps:
            show.say(f"{plan.host}  do    {shell.words(step.do)}")
            for undo in step.undo:
                show.say(f"{plan.host}  undo  {shell.words(undo)}")
        show.say(f"{plan.host}  proof {shell.words(plan.witness)}")
    show.say("sd_* are functions of stormdesk/host/lib.sh; everything runs as root in one script per host")
    show.say(f"plan hash {plan_hash}   (--plan-hash {plan_hash} refuses anything else). Nothing was changed.")
