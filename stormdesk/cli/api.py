"""Faults from Python: the API behind the pytest fixtures (docs/own-tests.md).

    from stormdesk.cli.api import Chaos

    with Chaos(env="demo") as chaos:
        with chaos.inject("<fault>", host="trader-a", hold_s=3, **parameters) as fault:
            ...                       # the fault is active: the host has confirmed it
        chaos.recovered(budget_s=30)  # trading again, in time
        chaos.validate("steady", "residue")

The guarantees of `invoke chaos.*` hold here too: safety rules, watchdogs on the host that are armed first, a run record below runs/. If
this process dies, the host heals by itself.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Self

from stormdesk.cli import catalogue
from stormdesk.cli.commands import holder_of, watch
from stormdesk.cli.options import Options
from stormdesk.cli.show import Show
from stormdesk.core.anchors import WITHIN_S, Event, Within
from stormdesk.core.errors import ExitCode, HostError, RefusedError, ResidueError, TransportError, UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.plan import Plan
from stormdesk.core.runbook_steps import BUDGET
from stormdesk.core.safety import Allow
from stormdesk.core.values import Duration, Value
from stormdesk.desk.pulse import STABLE_S
from stormdesk.run.record import Record, new_run_id, runs_folder
from stormdesk.run.request import DEFAULT_RTO_S, Request, one
from stormdesk.run.runner import Run
from stormdesk.run.stack import Stack
from stormdesk.run.whole import Plans
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import Interrupted, LeaveNow, Signals

POLL_S = 0.25
GRACE_S = 10.0  # past the budget, to distinguish a late recovery from none


class Injection:
    """An active fault. `outcome` is set once it is reverted."""

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
        """The plan for each host: steps and undo."""
        return [host.plan for host in self._run.hosts]

    @property
    def evidence(self) -> dict[str, str]:
        """By host, the evidence that the fault has an effect; "" until it is known (an unreachable host reports it afterwards)."""
        return {host.host: host.evidence for host in self._run.hosts}

    def left_s(self) -> float:
        """Seconds until the hosts heal by themselves."""
        return max(host.left_s() for host in self._run.hosts)


class Chaos:
    """The hosts of an environment, or of an `--inventory` source, to inject faults on. A context manager.

    `rto_s` is the default budget of `recovered`; `seed` decides the choices of `one:role:`.
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
        """Close the connections."""
        self.pool.close()

    # long: a third of it is its contract
    @contextmanager
    def inject(
        self,
        fault: str,
        *,
        host: str | Sequence[str],
        hold_s: float = 30.0,
        ttl_s: float | None = None,
        allow: Allow | None = None,
        at: str | Mapping[str, Any] | None = None,
        at_within_s: float = WITHIN_S,
        **parameters: Any,
    ) -> Iterator[Injection]:
        """Keep the fault active while the body runs, for at least `hold_s` seconds; then revert it and verify that.

        `parameters` are those of the fault (`invoke chaos.catalog`), as numbers or as typed on the command line. A body that
        raises ends the hold at once. At `ttl_s` (hold_s + 15) the host heals by itself. A fault that cuts the control link is
        active for `hold_s`, whatever the body does, because only the host itself can end it. With `at` the inject waits for that event
        (`venue:accepted:3`, `trader-a/trader:fdatasync:4`), which is held until the fault is in.

        Raises UsageError, RefusedError or TransportError before anything is touched, also when the event does not come; HostError
        when the fault had no effect, or ended before the body; ResidueError when a host may not be as it was.
        """
        chosen = fault_named(fault, parameters, self.rto_s)
        words = [host] if isinstance(host, str) else list(host)
        rto_s = float(getattr(chosen, BUDGET, self.rto_s))
        event = None if at is None else Event.of(at)
        schedule = one(chosen, tuple(words), hold_s, ttl_s, event=event, within_s=float(Within(at_within_s)))
        request = Request(schedule, allow=allow or Allow(), seed=self.seed, rto_s=rto_s)
        with Signals() as signals:
            run = self._run(request, signals)
            injection = Injection(run)
            found: list[CheckResult] = []
            self._begin(run, injection)
            try:
                until = time.monotonic() + hold_s
                yield injection
                if not any(host.plan.control.cuts for host in run.hosts):
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
        """Wait until the stack has recovered; returns the seconds that it took. AssertionError when that is more than `budget_s`.

        `until` is polled: the stack has recovered when it stays true for `stable_s`. By default: a trader leads and its orders
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
        """Run the checks of `what` (steady, invariants, residue; default steady). AssertionError names the checks that do not hold."""
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
        began = time.monotonic()
        plans = Plans(self.pool, request, run_id, watch(self.pool), holder_of, self._random)
        plans.show(show, time.monotonic() - began)
        record = Record(runs_folder() / run_id, run_id)
        return Run(request, plans, record, show, signals)

    def _begin(self, run: Run, injection: Injection) -> None:
        """Inject on all hosts. If that fails, everything is healed and this raises; HostError if a fault was active on any host."""
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
        self._healed_t = run.healed_t
        if outcome.residue == "dirty":
            raise ResidueError(outcome.why)
        if not (found or stopped) and outcome.exit_code is not ExitCode.HELD:
            raise HostError(outcome.why)
        return outcome


def fault_named(name: str, parameters: dict[str, Any], rto_s: float) -> Fault:
    """A fault of the catalogue with these parameters; if it has a recovery budget of its own, that is `rto_s` unless they set
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
    """The instant at which `until` became true and stayed so; an exception counts as false, and is the reason."""
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
    """The instant of the recovery, by the criteria of a run."""
    tracker = stack.track(begin)
    while time.time() < give_up:
        if tracker.settled(stack.sample().t):
            return tracker.took_s, ""
        time.sleep(POLL_S)
    return None, tracker.why
