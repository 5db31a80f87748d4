"""I-09 and I-10: recovered within the budget, with the expected processes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Before, Process
from stormdesk.evidence.judges.judging import result


def i09(cut: Cut) -> CheckResult:
    """The stack was steady again within its budget."""
    recovery = cut.meta.recovery if cut.meta else None
    took = recovery.recovered_at - recovery.start if recovery and recovery.recovered_at is not None else None
    return result(
        "I-09",
        {"recoveries timed": int(recovery is not None)},
        unreadable=[cut.meta_problem, "" if recovery else "no recovery was timed"],
        wrong=_late(cut, took),
        held=f"recovered in {took:.1f} s, budget {recovery.rto_s:g} s" if recovery and took is not None else "",
    )


def _late(cut: Cut, took: float | None) -> Iterator[str]:
    assert cut.meta is not None
    assert cut.meta.recovery is not None
    budget = cut.meta.recovery.rto_s
    if took is None:
        yield f"not recovered when the watch ended; budget {budget:g} s"
    elif took > budget:
        yield f"recovered in {took:.1f} s, {took - budget:.1f} s over the budget of {budget:g} s"
    elif took < 0:
        yield f"recovered {-took:.1f} s before the clock started"


def i10(cut: Cut) -> CheckResult:
    """Where no restart is claimed a service is the same process as before; where one is, it was started just so often."""
    before = cut.meta.processes_before if cut.meta else None
    services = sum(map(len, before.processes.values())) if before else 0
    claimed = sum(map(len, before.restarts.values())) if before else 0
    silent = sorted(before.processes.keys() - cut.processes.keys()) if before else []
    return result(
        "I-10",
        {"services": services, "restarts claimed": claimed},
        unreadable=[cut.meta_problem, "" if before else "no process was recorded before", cut.processes_problem],
        floors=((services, 1, "services before"), (len(cut.processes), 1, "hosts")),
        wrong=_other_processes(cut, before) if before else iter(()),
        doubts=[f"{silent[0]} was not asked" if silent else ""],
        held=f"{services - claimed} services are the processes they were, {claimed} started again as claimed",
    )


def _other_processes(cut: Cut, before: Before) -> Iterator[str]:
    for host in sorted(before.processes.keys() & cut.processes.keys()):
        for service, was in sorted(before.processes[host].items()):
            least, most = before.restarts.get(host, {}).get(service, (0, 0))
            yield from _compare(f"{service} on {host}", was, cut.processes[host].get(service), least, most)


def _compare(name: str, was: Process, now: Process | None, least: int, most: int) -> Iterator[str]:
    if now is None:
        yield f"{name}: no such process any more"
        return
    same = (was.pid, was.start_ticks) == (now.pid, now.start_ticks)
    if same and least:
        yield f"{name}: still process {now.pid}, a restart is claimed"
    if not same and not most:
        yield f"{name}: was process {was.pid}, is process {now.pid}; no restart is claimed"
    if was.spawns is not None and now.spawns is not None and not least <= now.spawns - was.spawns <= most:
        yield f"{name}: started {now.spawns - was.spawns} times, {least} to {most} claimed"
