"""What operators do by hand: status, revert, recover, halt. All of it asks the hosts; the run records here only add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stormdesk.core.errors import ExitCode, ResidueError, StormdeskError, TransportError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.run_ids import whole
from stormdesk.core.states import State
from stormdesk.host import probe, render
from stormdesk.host.probe import HostRecord, HostStatus
from stormdesk.host.scripts import host_scripts
from stormdesk.run import blast
from stormdesk.run.controllers import controller_alive
from stormdesk.run.open_runs import describe, sentence, stuck
from stormdesk.run.record import Record
from stormdesk.run.show import Show
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import LeaveNow, Signals
from stormdesk.ssh.transport import Dialer

DEADLINE_S = 10.0
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Report:
    """What an operator's command found or did: lines for people, a document for programs."""

    exit_code: ExitCode
    lines: tuple[str, ...]
    document: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> Mapping[str, Any]:
        return {**self.document, "exit_code": int(self.exit_code)}


# ---- status ------------------------------------------------------------------------------------------------------------


def status(inventory: Inventory, dialer: Dialer) -> Report:
    """Ask every host what it knows. 0: nothing, or runs on their way; 5: something is stuck or a host does not answer."""
    with Pool(inventory, dialer) as pool:
        answers = ask(pool)
    lines: list[str] = []
    code = ExitCode.HELD
    document: dict[str, Any] = {"environment": inventory.environment, "hosts": {}}
    for host, answer in answers.items():
        if isinstance(answer, StormdeskError):
            what = "does not answer" if isinstance(answer, TransportError) else "is left out"
            lines.append(f"{host:<10} {what}: {answer}")
            document["hosts"][host] = {"error": str(answer)}
            code = ExitCode.DIRTY
            continue
        document["hosts"][host] = {
            "halt": answer.halt, "locks": dict(answer.locks), "runs": [describe(r, answer) for r in answer.records]
        }  # fmt: skip
        if answer.halt:
            lines.append(f"{host:<10} HALTED: {answer.halt}   (invoke chaos.halt --lift)")
        for record in answer.records:
            lines.append(f"{host:<10} {sentence(record, answer)}")
            if stuck(record, answer):
                code = ExitCode.DIRTY
                lines.append(f"{'':<10} run: invoke chaos.revert --run {record.run_id}")
    if not lines:
        lines.append(f"{len(answers)} hosts of {inventory.environment}: no fault, no record, no lock")
    return Report(code, tuple(lines), document)


def ask(pool: Pool, hosts: Sequence[str] = (), *, sweep: bool = False) -> Mapping[str, HostStatus | StormdeskError]:
    """The status of each host (all by default), or why it has none. `sweep`: fences that are past their time go."""
    return pool.each(hosts or sorted(pool.inventory.hosts), lambda host: blast.ask(pool, host, DEADLINE_S, sweep=sweep))


# ---- revert, recover ---------------------------------------------------------------------------------------------------


def revert(
    inventory: Inventory, dialer: Dialer, run: str, hosts: Sequence[str], everything: bool, show: Show
) -> Report:
    """Revert runs on the hosts, from the hosts' records alone: one run, all of some hosts, or everything."""
    if not (run or hosts or everything):
        raise UsageError("chaos.revert needs --run ID, --host H or --all.   invoke chaos.status lists the runs")
    names = [inventory.host(name).name for name in hosts] or sorted(inventory.hosts)
    with Pool(inventory, dialer) as pool:
        answers = ask(pool, names)
        wanted = [(host, r) for host, r in found(answers) if not run or run in (r.run_id, whole(r.run_id))]
        if run and not wanted and not any(isinstance(answer, StormdeskError) for answer in answers.values()):
            raise UsageError(
                f"--run {run}: no host of {inventory.environment} knows it.   invoke chaos.status lists the runs"
            )
        return finish(pool, answers, wanted, "controller", show)


def recover(inventory: Inventory, dialer: Dialer, everything: bool, show: Show) -> Report:
    """Finish what a dead controller or a reboot left: revert what is in, collect who reverted what, clear the records.

    Left alone, unless `everything`: runs whose controller is alive on this machine, and those of which this machine knows
    nothing, as long as their host guards them and their deadline has not come: somebody else's controller may be alive.
    """
    with Pool(inventory, dialer) as pool:
        answers = ask(pool, sweep=True)
        left = {} if everything else {
            (host, record.run_id): why for host, record in found(answers) if (why := owned(record, answers[host]))
        }  # fmt: skip
        mine = [(host, record) for host, record in found(answers) if (host, record.run_id) not in left]
        report = finish(pool, answers, mine, "recover", show)
    lines = [
        f"left alone: {run} on {host}, {why}.   invoke chaos.recover --all ends it now"
        for (host, run), why in left.items()
    ]
    lines = lines or list(report.lines)
    return Report(report.exit_code, tuple(lines), {**report.document, "left_alone": [list(key) for key in left]})


def owned(record: HostRecord, status: HostStatus | StormdeskError) -> str:
    """Why a run is somebody's who still looks after it; "" when it is nobody's."""
    alive = controller_alive(record.run_id)
    if alive or alive is False or not isinstance(status, HostStatus):
        return "its controller is alive" if alive else ""
    if record.state == State.REVERTED or stuck(record, status) or not record.watchdogs:
        return ""
    return f"which is armed and guarded; it heals by itself in {describe(record, status)['left_s']:.0f} s"


def found(answers: Mapping[str, HostStatus | StormdeskError]) -> list[tuple[str, HostRecord]]:
    return [(host, r) for host, a in answers.items() if isinstance(a, HostStatus) for r in a.records]


def finish(
    pool: Pool,
    answers: Mapping[str, HostStatus | StormdeskError],
    runs: Sequence[tuple[str, HostRecord]],
    who: str,
    show: Show,
) -> Report:
    """Revert and clear these runs; the exit code says whether every host could be asked and is clean."""
    code = ExitCode.HELD
    done: list[dict[str, Any]] = []
    for host, answer in answers.items():
        if isinstance(answer, StormdeskError):
            show.phase("revert", f"{host}: {answer}", ok=False)
            code = ExitCode.DIRTY
    by_host = {host: [record for name, record in runs if name == host] for host, _ in runs}

    def one(host: str) -> list[Ended]:
        return [one_run(pool, host, record, who) for record in by_host[host]]

    with Signals() as signals:
        signals.shield()  # whoever asked for a revert wants it whole
        try:
            answered = pool.each(by_host, one)
        except LeaveNow as left:
            raise ResidueError(_unfinished(by_host, answers)) from left
    for host, ends in answered.items():
        for end in [Ended(host, "", False, str(ends))] if isinstance(ends, StormdeskError) else ends:
            show.phase("revert", end.text, ok=end.clean)
            if end.incomplete:
                show.phase("record", end.incomplete, ok=False)
            done.append({"host": host, "run": end.run, "clean": end.clean, "text": end.text})
            code = code if end.clean else ExitCode.DIRTY
    if signals.count:
        code = ExitCode.worst(code, ExitCode.STOPPED)
    lines = () if runs or code else ("nothing to revert: no host knows of a run",)
    return Report(code, lines, {"runs": done})


@dataclass(frozen=True)
class Ended:
    """What came of one run on one host; `incomplete` is what could not be written of it."""

    host: str
    run: str
    clean: bool
    text: str
    incomplete: str = ""


def _unfinished(runs: Mapping[str, Sequence[HostRecord]], answers: Mapping[str, HostStatus | StormdeskError]) -> str:
    """What to say when one leaves in the middle: when the hosts heal by themselves."""
    left = [
        f"{record.run_id} on {host} within {describe(record, status)['left_s']:.0f} s"
        for host, records in runs.items()
        if isinstance(status := answers[host], HostStatus)
        for record in records
        if record.watchdogs
    ]
    heals = f"; by itself heals {', '.join(left)}" if left else ""
    return f"left at once; hosts may be dirty{heals}.   invoke chaos.revert --all"


def one_run(pool: Pool, host: str, record: HostRecord, who: str) -> Ended:
    """Revert, verify, note it in our own record if there is one, clear."""
    ours = Record.reopen(record.run_id)
    clean, text = _one_run(pool, host, record, who, ours)
    incomplete = ""
    if ours:
        incomplete = ours.settle()
        ours.close("recover")
    return Ended(host, record.run_id, clean, text, incomplete)


def _one_run(pool: Pool, host: str, record: HostRecord, who: str, ours: Record | None) -> tuple[bool, str]:
    try:
        answer = pool.script(
            host, render.revert(host_scripts(), record.run_id, who, PATIENCE_S), PATIENCE_S + DEADLINE_S
        )
        after = next((r for r in probe.records(answer.stdout) if r.run_id == record.run_id), record)
        delta = probe.delta(answer.stdout)
        by, late = after.value("reverted_by"), after.lateness_ms
        if ours:
            ours.event(
                "S8.verified", host=host, clean=answer.code == 0, reverted_by=by, lateness_ms=late, **delta.event()
            )
        if answer.code != 0:
            return False, f"DIRTY {host}: {'; '.join(delta.left[:3]) or 'not as it was before'} ({record.run_id})"
        if controller_alive(record.run_id):
            # Its own controller clears the record: from it that one learns who reverted the run.
            return True, f"{host}: {record.run_id} {record.value('fault')} reverted by {by}; its controller is told"
        cleared = pool.script(host, render.clear(host_scripts(), record.run_id), DEADLINE_S)
        if cleared.code != 0:
            return False, f"{host}: {cleared.stdout.strip()} ({record.run_id})"
        if ours:
            ours.event("S9.cleared", host=host, reverted_by=by, lateness_ms=late)
        return True, f"{host}: {record.run_id} {record.value('fault')} reverted by {by}" + (
            f", {late} ms late" if late else ""
        )
    except StormdeskError as error:
        return False, f"{host}: {error}"


# ---- halt --------------------------------------------------------------------------------------------------------------


def halt(inventory: Inventory, dialer: Dialer, lift: bool, show: Show, reason: str = "halted by an operator") -> Report:
    """Halt every reachable host, so that it refuses further injects, then revert all; or lift the halt."""
    script = render.lift(host_scripts()) if lift else render.halt(host_scripts(), reason)
    with Pool(inventory, dialer) as pool:
        answers = pool.each(sorted(inventory.hosts), lambda host: pool.script(host, script, DEADLINE_S))
        code = ExitCode.HELD
        for host, answer in answers.items():
            good = not isinstance(answer, StormdeskError) and answer.code == 0
            show.phase("lift" if lift else "halt", f"{host}: {'done' if good else answer}", ok=good)
            code = code if good else ExitCode.DIRTY
        if lift:
            return Report(code, (), {"lifted": code is ExitCode.HELD})
        statuses = ask(pool)
        report = finish(pool, statuses, found(statuses), "halt", show)
    return Report(
        ExitCode.worst(code, report.exit_code), report.lines, {**report.document, "halted": code is ExitCode.HELD}
    )
