"""The plans of a whole schedule, and what only the whole of it shows: faults that clash, and too many hosts at once."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec

from stormdesk.core.errors import ExitCode, RefusedError, TransportError, UsageError
from stormdesk.core.model import HostFacts, Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.plan import Plan
from stormdesk.core.run_ids import part
from stormdesk.core.schedule import Op
from stormdesk.core.targets import Target
from stormdesk.run.aim import Aim
from stormdesk.run.blast import Blast
from stormdesk.run.breakpoints import Holder, HolderOf
from stormdesk.run.breakpoints import prepared as prepared_holder
from stormdesk.run.prepare import Prepared, prepare
from stormdesk.run.request import Request, inject, plan_digest, show_commands, show_plan
from stormdesk.run.show import Show
from stormdesk.run.stack import Stack
from stormdesk.ssh.pool import Pool


class Plans:
    """The plans of all faults of a schedule as the hosts are now; those that come later are made again when they are due.

    Raises UsageError, RefusedError or TransportError for the first reason why it cannot be; nothing has been touched.
    """

    def __init__(
        self,
        pool: Pool,
        request: Request,
        run_id: str,
        stack: Stack | None,
        holder_of: HolderOf,
        rng: Random | None = None,
    ) -> None:
        self.pool = pool
        self._holder_of = holder_of
        self._holders: dict[str, Holder] = {}
        self._for_events: dict[str, Sequence[Plan]] = {}  # what has to be done to hold an event
        self.stack = stack
        self._request = request
        self._schedule = request.schedule
        self._run_id = run_id
        self._rng = rng
        self._aims: dict[str, Aim] = {}
        self._prepared: dict[str, list[Prepared]] = {}
        for op in self._schedule.injects:
            self._plan(op, {})
        for one, other in self._schedule.overlapping():
            self._no_clash(one, other)
        for op in self._schedule.injects:
            self._spread(op)

    @property
    def all(self) -> list[Plan]:
        """In the order of the schedule."""
        return [each.plan for prepared in self._prepared.values() for each in prepared]

    @property
    def whole(self) -> list[Plan]:
        """With those that hold events."""
        return [*self.all, *(plan for plans in self._for_events.values() for plan in plans)]

    @property
    def hash(self) -> str:
        return plan_digest(self.whole, [event for op in self._schedule.injects if (event := inject(op).event)])

    def holder(self, op: Op) -> Holder | None:
        """Who holds the event that the fault waits for, if it waits for one."""
        return self._holders.get(op.id)

    @property
    def targets(self) -> list[Target]:
        """What each word for hosts meant."""
        return [target for aim in self._aims.values() for target in aim.targets]

    @property
    def hosts(self) -> list[str]:
        """Their names, each once."""
        return list(dict.fromkeys(host for aim in self._aims.values() for host in aim.hosts))

    def show(self, show: Show, took_s: float) -> None:
        """What is going to be done, in words, and which hosts each word meant."""
        hosts = [self.pool.inventory.host(name) for name in self.hosts]
        show_plan(show, self._run_id, self._request, hosts, self.all, took_s)
        for aim in self._aims.values():
            aim.show(show)

    def only(self, show: Show) -> Outcome:
        """`--plan`: the exact commands; nothing else is done."""
        show_commands(show, self.whole, self.hash)
        said = {name: msgspec.to_builtins(value) for name, value in (("targets", self.targets), ("plans", self.all))}
        show.result({"run": self._run_id, "seed": self._request.seed, "plan_hash": self.hash, **said})
        why = "plan only: nothing was changed"
        return Outcome(self._run_id, ExitCode.HELD, Verdict.UNKNOWN, "untouched", why)

    def ready(self, op: Op) -> list[Prepared]:
        """The plans of a fault that is due. Raises RefusedError where they are for another host than now they would have to be."""
        if op.after:
            self._plan(op, self.beside(op))
        else:
            self._aims[op.id].confirm()
        return self._prepared[op.id]

    def beside(self, op: Op) -> dict[str, HostFacts]:
        """The facts of the hosts of faults that may be in at the same time."""
        others = [each for each in self._schedule.injects if self._schedule.may_overlap(op.id, each.id)]
        return {p.plan.id.host: p.facts for each in others for p in self._prepared[each.id]}

    def _plan(self, op: Op, beside: dict[str, HostFacts]) -> None:
        try:
            self._aims[op.id], self._prepared[op.id] = self._planned(op, beside)
            self._plan_for_event(op)
        except (UsageError, RefusedError, TransportError) as error:
            if len(self._schedule.ops) == 1:
                raise
            raise type(error)(f"step {op.id}: {error}") from error

    def _planned(self, op: Op, beside: dict[str, HostFacts]) -> tuple[Aim, list[Prepared]]:
        do, request = inject(op), self._request
        aim = Aim(do.hosts, self.pool.inventory, request.seed, self.stack, self._rng)
        hosts = [self.pool.inventory.host(name) for name in aim.hosts]
        number = self._schedule.injects.index(op)
        run_id = part(self._run_id, number, len(self._schedule.injects))
        return aim, prepare(self.pool, do.fault, hosts, run_id, do.hold_s, do.ttl_s, request.allow, beside)

    def _plan_for_event(self, op: Op) -> None:
        do = inject(op)
        if do.event is not None:
            self._holders[op.id] = holder = self._holder_of(self.pool, do.event, do.within_s)
            plans = [each.plan for each in self._prepared[op.id]]
            self._for_events[op.id] = prepared_holder(holder, plans, self._request.allow)

    def _no_clash(self, one: Op, other: Op) -> None:
        def needs(op: Op) -> set[tuple[str, str]]:
            return {(p.plan.id.host, what) for p in self._prepared[op.id] for what in p.plan.change.resources}

        for host, what in sorted(needs(one) & needs(other)):
            raise RefusedError(
                f"{one.id} and {other.id} may overlap, and both need {what} of {host}. Let one begin `after` the other. "
                "Nothing was changed"
            )

    def _spread(self, op: Op) -> None:
        facts = {**self.beside(op), **{p.plan.id.host: p.facts for p in self._prepared[op.id]}}
        Blast(self.pool, self._run_id, facts, self._request.allow).check({})
