"""What a run asks of the checks: steady before, the cut and the invariants after, the report at the end."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stormdesk import durable
from stormdesk.core.audit import NAME as AUDIT
from stormdesk.core.errors import RefusedError
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import find_residue, service_processes, situations, take_cut
from stormdesk.evidence.cut import lines
from stormdesk.evidence.take_cut import RunFacts
from stormdesk.run import earlier
from stormdesk.run.hostrun import HostRun
from stormdesk.run.injection import Injection
from stormdesk.run.record import Record, load, runs_folder
from stormdesk.run.request import Request
from stormdesk.run.show import Show
from stormdesk.run.stack import Tracker
from stormdesk.ssh.pool import Pool

CUT, STEADY = "outputs/cut", "outputs/steady"
CHAOS = "reports/chaos"
AFTER = ("invariants", "residue")
TABLES = tuple(f"outputs/tables/{name}.csv" for name in ("scorecard", "hypothesis", "findings"))
REPORTS = ("report.html", "summary.md", "scorecard.json", "evidence.log", *TABLES)


class Proof:
    """The checks of one run. Imports of testinfra and jinja2 happen when they are used: they cost more than a fault."""

    def __init__(self, pool: Pool, record: Record, show: Show) -> None:
        self.pool = pool
        self.record = record
        self.show = show
        self.processes: lines.Processes = {}  # as they were before the fault
        self.marks: Mapping[str, Sequence[str]] | None = None  # what looked like a fault's before there was one

    def steady(self, when: str) -> list[CheckResult]:
        """The steady state, asked of the hosts."""
        began = time.monotonic()
        results = self.look()
        self.record.event("steady", when=when, checks=[asdict(result) for result in results])
        self._say("steady", results, time.monotonic() - began)
        return results

    def remember(self) -> None:
        """Note what looks like a fault's already, and which processes a trading stack's services are: who was restarted?"""
        self.marks = find_residue.marks(self.pool.run, self.pool.inventory)
        self.record.event("marks", hosts={host: found for host, found in self.marks.items() if found})
        if self.pool.inventory.trading:
            self.processes = service_processes.look(self.pool.run, self.pool.inventory)

    def look(self) -> list[CheckResult]:
        """The steady state as it is now; nothing is said or recorded."""
        from stormdesk.run.judge import judge

        return judge(self.pool.inventory, self.pool.run, ["steady"], self.record.folder / STEADY)

    def after(
        self, injections: Sequence[Injection], recovery: Tracker | None, restarted: Sequence[tuple[str, str]], asked: Request
    ) -> list[CheckResult]:
        """Take the consistent cut and judge it; `restarted` are the (host, service) that people have restarted meanwhile."""
        from stormdesk.run.judge import judge

        began = time.monotonic()
        hosts = [host for each in injections for host in each.hosts]
        folder = self.record.place(CUT)
        results = judge(
            self.pool.inventory,
            self.pool.run,
            AFTER,
            folder,
            report=folder.parents[1] / "junit.xml",
            violated=asked.violated,
            facts=RunFacts(
                run_id=self.record.run_id,
                fault=_window(injections),
                recovery=lines.Recovery(start=recovery.from_t, recovered_at=recovery.recovered_at, rto_s=asked.rto_s)
                if recovery
                else None,
                diffs=_left(hosts),
                before=self._before(hosts, restarted),
                marks=self.marks,
            ),
        )
        self.record.event("cut", path=CUT if folder.is_relative_to(self.record.folder) else str(folder))
        results += self._situations(folder, asked.situations)
        self.record.event("checks", checks=[asdict(result) for result in results])
        self._say("check", results, time.monotonic() - began)
        return results

    def _situations(self, folder: Path, wanted: Sequence[str]) -> list[CheckResult]:
        """Look which situations the run was in; what is demanded is a check."""
        cut = take_cut.load(folder) if self.pool.inventory.trading and folder.is_dir() else None
        found = situations.reached(self.record.events(), cut)
        if cut is not None or wanted:
            self.record.event("situations", reached=found, of=len(situations.SITUATIONS))
        return situations.demanded(wanted, found)

    def _before(self, hosts: Sequence[HostRun], restarted: Sequence[tuple[str, str]]) -> lines.Before | None:
        """The processes before, and what the run's own plans and acts make restart."""
        if not self.processes:
            return None
        # Who ended a fault early may have started the service himself: then the undo had nothing left to start.
        claims = [
            (host.host, service, 0 if host.ended_early else least, most)
            for host in hosts
            for service, least, most in host.plan.effects.restarts
        ]
        claims += [(host, service, 1, 1) for host, service in restarted]
        return lines.Before(processes=self.processes, restarts=restarts(claims))

    def report(self) -> str:
        """Write what people and programs read afterwards; the path of report.html."""
        return write_reports(self.record.home)

    def _say(self, name: str, results: Sequence[CheckResult], took_s: float) -> None:
        bad = [result for result in results if result.verdict is not Verdict.HELD]
        self.show.phase(name, f"{len(results) - len(bad)}/{len(results)} held", took_s, ok=not bad)
        for result in bad:
            self.show.phase(name, f"{result.id} {result.verdict}: {result.why}", ok=False)


def _window(injections: Sequence[Injection]) -> lines.FaultWindow:
    """The fault that must have made a trader refuse orders, if one had to; else the first."""
    each = next((each for each in injections if each.plan.effects.refuses_orders), injections[0])
    return lines.FaultWindow(
        name=each.plan.id.fault,
        host=each.hosts[0].host,
        injected_t=each.injected_t,
        lift_t=each.fanout.healed_t,
        refusals=each.plan.effects.refuses_orders,
    )


def _left(hosts: Sequence[HostRun]) -> dict[str, list[str]]:
    """What was left on each host by any fault."""
    left: dict[str, list[str]] = {}
    for host in hosts:
        left.setdefault(host.host, []).extend(host.delta.left)
    return left


def restarts(claims: Iterable[tuple[str, str, int, int]]) -> dict[str, dict[str, tuple[int, int]]]:
    """How often all together make each service restart, at least and at most; each claims that of one service on one host."""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for host, service, least, most in claims:
        known = counts.setdefault(host, {}).get(service, (0, 0))
        counts[host][service] = (known[0] + least, known[1] + most)
    return counts


def _beside(name: str, log: bytes) -> None:
    """The copy of a run's evidence.log. Another run of the same name and second keeps its own. Raises OSError."""
    folder = (runs_folder() if os.environ.get("STORMDESK_RUNS") else Path()) / CHAOS
    durable.make_folder(folder)
    run = next(line for line in log.splitlines() if line.startswith(b"run,"))
    stem, number = name.removesuffix(".log"), 1
    while (folder / name).exists() and run not in (folder / name).read_bytes().splitlines():
        number += 1
        name = f"{stem}-{number}.log"
    durable.replace(folder / name, log, mode=0o644)


def write_reports(folder: Path) -> str:
    """The reports of a run and their tables, from its directory and the scorecards of the runs beside it; the path of report.html. Raises
    RefusedError when they cannot be written; each is then as it was before, or whole. evidence.log of a run in runs/ also goes to
    reports/chaos/: beside runs/, or in the folder that STORMDESK_RUNS names."""
    with _no_collection():  # an event is hundreds of small objects, and none of them is garbage: half the time went there
        texts, log_name, known = _reports(folder)
    try:
        for name, text in texts.items():
            durable.make_folder((folder / name).parent)
            durable.replace(folder / name, text.encode(), mode=0o644)
        if folder.parent == runs_folder():
            _beside(log_name, texts["evidence.log"].encode())
    except OSError as error:
        raise RefusedError(
            f"the reports were not written: {error.strerror}. The run's record is whole; "
            f"make room, then: invoke gameday.report --run {folder.name}"
        ) from error
    if folder.parent == runs_folder():  # not where a record had to be written elsewhere
        others = [card for card in known if card["run"] != folder.name]
        earlier.write_index(folder.parent, [json.loads(texts["scorecard.json"]), *others])
    return str(folder / "report.html")


def _reports(folder: Path) -> tuple[dict[str, str], str, list[dict[str, Any]]]:
    """The texts by file name, the name of evidence.log's copy, and the scorecards of the runs beside it."""
    from stormdesk.evidence import report

    events = load(folder)
    seen = take_cut.load(folder / CUT) if (folder / CUT).is_dir() else None
    plans = json.loads((folder / "plan.json").read_text()) if (folder / "plan.json").is_file() else []
    ours = (*REPORTS, AUDIT)
    there = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]  # those are half written
    files = [str(path.relative_to(folder)) for path in there if path.name not in ours]
    known = list(earlier.cards(folder.parent))
    return *report.documents(events, seen, plans, files, known), known


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector, where it was on."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
