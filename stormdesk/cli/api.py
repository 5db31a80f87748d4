"""Faults from Python: the calls that the pytest fixtures are made of (docs/own-tests.md).

    from stormdesk.cli.api import Chaos

    with Chaos(env="demo") as chaos:
        with chaos.inject("<fault>", host="trader-a", hold_s=3, **parameters) as fault:
            ...                       # the adapter is down: the host itself has said so
        chaos.recovered(budget_s=30)  # trading again, in time
        chaos.validate("steady", "residue")

Everything that `invoke chaos.*` guarantees holds here: guards, watchdogs on the host that are armed first, a record of the
run below runs/. When this process dies, the host heals by itself.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Self

from stormdesk.cli import catalogue, fault_flags
from stormdesk.cli.commands import watch
from stormdesk.cli.options import Options
from stormdesk.cli.show import Show
from stormdesk.core.errors import ExitCode, HostError, RefusedError, ResidueError, TransportError, UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.plan import Plan
from stormdesk.core.runbook import BUDGET
from stormdesk.core.safety import Allow
from stormdesk.core.values import Duration, Value
from stormdesk.desk.pulse import STABLE_S
from stormdesk.run.prepare import prepare
from stormdesk.run.record import Record, new_run_id, runs_folder
from stormdesk.run.request import DEFAULT_RTO_S, Request, plan_digest, show_plan
from stormdesk.run.runner import Run
from stormdesk.run.stack import Stack
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import Interrupted, LeaveNow, Signals

POLL_S = 0.25
GRACE_S = 10.0  # past the budget, so that a late recovery is told from none


class Injection:
    """A fault that is in. `outcome` is there once it has been reverted."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.outcome: Outcome | None = None

    @property
    def id(self) -> str:
        """The run's id, as `invoke chaos.status` and `gameday.report --run` take it."""
        return self._run.record.run_id

    @property
    def folder(self) -> Path:
        """The run's record."""
        return self._run.record.folder

    @property
    def plans(self) -> Sequence[Plan]:
        """What was done and how it is undone, one for each host."""
        return [host.plan for host in self._run.hosts]

    @property
    def evidence(self) -> dict[str, str]:
        """By host, how it was measured that the fault bites; "" until then (a host that cannot be reached says it afterwards)."""
        return {host.host: host.evidence for host in self._run.hosts}

    def left_s(self) -> float:
        """Seconds until the hosts heal by themselves."""
        return max(host.left_s() for host in self._run.hosts)


class Chaos:
    """The hosts of an environment, or of an `--inventory` source, to inject faults on. A context manager.

    `rto_s` is the budget of `recovered` where none is given; `seed` decides what `one:role:` picks.
    """

    def __init__(self, env: str = "", inventory: str = "", *, rto_s: float = DEFAULT_RTO_S, seed: int = 0) -> None:
        self.inventory, dialer = Options(env, inventory).reach()
        self.pool = Pool(self.inventory, dialer)
        self.rto_s = rto_s
        self.seed = seed
        self._random = Random(seed)
        self._healed_t = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.pool.close()

    # long: a third of it says what callers may rely on
    @contextmanager
    def inject(
        self,
        fault: str,
        *,
        host: str | Sequence[str],
        hold_s: float = 30.0,
        ttl_s: float | None = None,
        allow: Allow | None = None,
        **parameters: Any,
    ) -> Iterator[Injection]:
        """The fault is in while the body runs, and at least `hold_s` seconds; then it is reverted and that is verified.

        `parameters` are the fault's own (`invoke chaos.catalog`), as numbers or as one would type them. A body that raises
        ends the hold at once. At `ttl_s` (hold_s + 15) the host heals by itself. A fault that cuts the control link is in
        for `hold_s`, whatever the body does, for only the host itself can end it.

        Raises UsageError, RefusedError or TransportError before anything is touched; HostError when the fault did not
        bite, or was over before the body was; ResidueError when a host may not be as it was.
        """
        chosen = fault_named(fault, parameters, self.rto_s)
        words = [host] if isinstance(host, str) else list(host)
        names = fault_flags.choose_hosts(words, self.inventory, self._random)
        rto_s = float(getattr(chosen, BUDGET, self.rto_s))
        request = Request(chosen, names, hold_s, ttl_s, allow=allow or Allow(), seed=self.seed, rto_s=rto_s)
        with Signals() as signals:
            run = self._run(request, signals)
            injection = Injection(run)
            found: list[CheckResult] = []
            self._begin(run, injection)
            try:
                until = time.monotonic() + hold_s
                yield injection
                if not run.plan.control.cuts:
                    time.sleep(max(0.0, until - time.monotonic()))
            except BaseException as error:
                found.append(CheckResult("body", Verdict.VIOLATED, f"{type(error).__name__}: {error}".splitlines()[0]))
                raise
            finally:
                injection.outcome = self._end(run, found)
            if signals.count:
                raise Interrupted("while the hosts were healing")

    def recovered(
        self,
        until: Callable[[], object] | None = None,
        *,
        budget_s: float | None = None,
        stable_s: float = STABLE_S,
        from_t: float | None = None,
    ) -> float:
        """Wait until the stack is well again; how many seconds it took. AssertionError when that is more than `budget_s`.

        `until` is asked again and again: well is what stays true for `stable_s`. Without it: a trader leads and its orders
        are accepted, or on a stack that is not ours, the steady state holds. The clock starts at `from_t` (seconds since
        1970), by default when the last fault was undone.
        """
        __tracebackhide__ = True
        budget_s = self.rto_s if budget_s is None else budget_s
        begin = from_t if from_t is not None else self._healed_t or time.time()
        give_up = time.time() + budget_s + stable_s + GRACE_S
        stack = watch(self.pool) if until is None else None
        took_s, why = (
            _watched(stack, begin, give_up) if stack else _well(until or self.validate, begin, stable_s, give_up)
        )
        if took_s is None:
            raise AssertionError(f"not well again within {budget_s:g} s: {why}")
        if took_s > budget_s:
            raise AssertionError(f"well again after {took_s:.1f} s, the budget is {budget_s:g} s")
        return took_s

    def validate(self, *what: str) -> list[CheckResult]:
        """Run the checks of `what` (steady, invariants, residue; default steady). AssertionError names what does not hold."""
        from stormdesk.run.judge import judge

        __tracebackhide__ = True
        with tempfile.TemporaryDirectory(prefix="stormdesk-") as folder:
            results = judge(self.inventory, self.pool.run, what or ("steady",), Path(folder) / "cut")
        bad = [f"{r.id} {r.verdict}: {r.why}" for r in results if r.verdict is not Verdict.HELD]
        if bad:
            raise AssertionError(f"{len(bad)} of {len(results)} checks did not hold: {'; '.join(bad)}")
        return results

    def _run(self, request: Request, signals: Signals) -> Run:
        run_id, show = new_run_id(), Show.auto()
        hosts = [self.inventory.host(name) for name in request.hosts]
        began = time.monotonic()
        prepared = prepare(self.pool, request.fault, hosts, run_id, request.hold_s, request.ttl_s, request.allow)
        plans = [item.plan for item in prepared]
        show_plan(show, run_id, request, hosts, plans, time.monotonic() - began)
        record = Record(runs_folder() / run_id, run_id)
        return Run(request, prepared, self.pool, record, show, signals, plan_digest(plans), watch(self.pool))

    def _begin(self, run: Run, injection: Injection) -> None:
        """The fault is in, or everything is healed and this raises; HostError where a fault was in, whoever said no."""
        try:
            run.begin()
        except LeaveNow:
            run.record.close()
            raise
        except BaseException as error:
            why = str(error) or type(error).__name__
            injection.outcome = self._end(run, [], stopped=why)
            if isinstance(error, RefusedError | UsageError | TransportError) and any(h.injected for h in run.hosts):
                raise HostError(injection.outcome.why) from error
            raise

    def _end(self, run: Run, found: Sequence[CheckResult], stopped: str = "") -> Outcome:
        try:
            outcome = run.end(found, stopped)
        finally:
            run.record.close()
        self._healed_t = run.fanout.healed_t
        if outcome.residue == "dirty":
            raise ResidueError(outcome.why)
        if not (found or stopped) and outcome.exit_code is not ExitCode.HELD:
            raise HostError(outcome.why)
        return outcome


def fault_named(name: str, parameters: dict[str, Any], rto_s: float) -> Fault:
    """A fault of the catalogue with these parameters; one with a recovery budget of its own has `rto_s` unless they say
    another. Raises UsageError."""
    kind = catalogue.named(name)
    known = {entry.name: entry for entry in dataclasses.fields(kind)}  # type: ignore[arg-type]  # as all faults, a dataclass
    values = {BUDGET: Duration(rto_s)} if BUDGET in known else {}
    for key, value in parameters.items():
        if key not in known:
            raise UsageError(f"{name} has no {key}. It takes: {', '.join(known)}")
        typed = known[key].metadata.get("kind", type(known[key].default))
        values[key] = typed(value) if issubclass(typed, Value) and value is not None else value
    return kind(**values)


def _well(ask: Callable[[], object], begin: float, stable_s: float, give_up: float) -> tuple[float | None, str]:
    """When the answer became true and stayed so; what it raises counts as false, and is the reason."""
    good_t, why = None, "it was never true"
    while (now := time.time()) < give_up:
        try:
            good, why = bool(ask()), "it is not true"
        except Exception as error:  # noqa: BLE001 -- whatever a stack under repair does, it is not well yet
            good, why = False, f"{type(error).__name__}: {error}".splitlines()[0]
        good_t = (good_t or now) if good else None
        if good_t is not None and time.time() - good_t >= stable_s:
            return max(0.0, good_t - begin), ""
        time.sleep(POLL_S)
    return None, why


def _watched(stack: Stack, begin: float, give_up: float) -> tuple[float | None, str]:
    """When the stack had recovered, as a run sees it."""
    tracker = stack.track(begin)
    while time.time() < give_up:
        if tracker.settled(stack.sample().t):
            return tracker.took_s, ""
        time.sleep(POLL_S)
    return None, tracker.why
