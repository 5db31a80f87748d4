"""From the values of flags to library calls: which fault, which hosts, which output. Used by the tasks only."""

from __future__ import annotations

import difflib
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from stormdesk.cli import fault_flags
from stormdesk.cli.options import Options
from stormdesk.core import targets
from stormdesk.core.anchors import WITHIN_S
from stormdesk.core.errors import ExitCode, UsageError
from stormdesk.core.targets import Leader, hosts_of
from stormdesk.core.values import printable, shown

if TYPE_CHECKING:
    from stormdesk.core.anchors import Event
    from stormdesk.core.fault import Fault
    from stormdesk.core.inventory import Inventory
    from stormdesk.infra.status import HostStatus
    from stormdesk.run.breakpoints import Holder
    from stormdesk.run.operate import Report
    from stormdesk.run.stack import Stack
    from stormdesk.ssh.pool import Pool
    from stormdesk.ssh.transport import Dialer


PASSED = (ExitCode.HELD, ExitCode.STOPPED)  # stopping a run is no failure


def attack(name: str, values: Mapping[str, Any]) -> int:
    """Run one fault with these flags, show it, and return the exit code."""
    from stormdesk.cli import catalogue

    return _attack(catalogue.named(name), values, lambda _: tuple(values["host"]))


def attack_venue(name: str, values: Mapping[str, Any]) -> int:
    """Run one of the venue's own faults, on the venue's host."""
    from stormdesk.desk.venue_faults import host_of, runnable

    return _attack(runnable(name), values, lambda inventory: (host_of(inventory),))


def _attack(
    fault_type: type[Fault],
    values: Mapping[str, Any],
    hosts: Callable[[Inventory], tuple[str, ...]],
) -> int:
    fault = fault_flags.fault_of(fault_type, values)
    hold_s, ttl_s = float(values["for_"]), None if values["ttl"] is None else float(values["ttl"])
    fault_flags.check_ttl(hold_s, ttl_s)
    if values["plan_hash"] == "":
        raise UsageError(
            "--plan-hash is empty: it would refuse nothing. Give the hash that --plan printed, or leave it out"
        )
    options = Options(values["env"], values["inventory"], values["json"])
    inventory, dialer = options.reach()
    seed = secrets.randbelow(2**32) if values["seed"] is None else int(values["seed"])
    from stormdesk.run import flags, runner
    from stormdesk.run.request import DEFAULT_RTO_S, Request, one

    asked = flags.load()
    request = Request(
        one(
            fault,
            hosts(inventory),
            hold_s,
            ttl_s,
            event=values.get("at"),
            within_s=float(values.get("at_within", WITHIN_S)),
        ),
        plan_only=values["plan"],
        plan_hash=values["plan_hash"] or "",
        allow=fault_flags.allow_of(values),
        seed=seed,
        rto_s=float(values.get("rto", asked.wait_ready_s or DEFAULT_RTO_S)),
        argv=tuple(sys.argv[1:]),
    )
    outcome = runner.run(request, inventory, dialer, options.show, watch, holder_of=holder_of)
    if asked.pause_on_fail and inventory.trading and not values["plan"] and outcome.exit_code not in PASSED:
        for line in safe_state(inventory, dialer, f"{request.fault}: {outcome.why}").lines:
            options.show.say(line)
    return int(outcome.exit_code)


def safe_state(inventory: Inventory, dialer: Dialer, reason: str) -> Report:
    """Pause the desk and pull every kill switch, in the name of the user who runs what failed."""
    from stormdesk.desk import operators
    from stormdesk.infra import home
    from stormdesk.ssh.pool import Pool

    with Pool(inventory, dialer) as pool:
        return operators.abort(pool, home.owner(), reason)


def report_again(run: str) -> str:
    """Write the reports of a run from its directory alone; the path of report.html."""
    from stormdesk.run import gameday

    return gameday.report(_known_run(run))


def verify(options: Options, run: str, head: str) -> int:
    """Compare a run directory with its audit log, and say what differs; returns the exit code: 0 as it was sealed, 1 something was
    changed, 5 it was never sealed. Raises UsageError."""
    from stormdesk.run import audit
    from stormdesk.run.record import runs_folder

    if head and not re.fullmatch("[0-9a-f]{8,64}", head):
        raise UsageError(f"--head {shown(head)}: 8 to 64 hex digits, as the run printed them")
    found, there = audit.verify(runs_folder() / _known_run(run), head)
    code = ExitCode.VIOLATED if found else ExitCode.HELD if there else ExitCode.DIRTY
    said = [str(finding) for finding in found]
    if not there:
        said.append("this run has no audit log: it did not come to its end. Only the sums of its events can be checked")
    elif not found:
        said.append(f"as it was sealed, head {there[:16]}")
    for line in said:
        options.show.say(line)
    rows = [{"file": finding.file, "line": finding.line or None, "why": finding.why} for finding in found]
    options.show.result({"run": run, "exit_code": int(code), "head": there, "findings": rows})
    return int(code)


def note(run: str, text: str, by: str) -> str:
    """Add a person's remark to the record of a run; returns who made it. Raises UsageError, and RefusedError without room."""
    from stormdesk.infra import home
    from stormdesk.run.record import Record

    known, who = _known_run(run), by or home.owner()
    if not text.strip():
        raise UsageError("--text is required: the remark")
    record = Record.reopen(known)
    if record is None:
        raise UsageError(f"--run {known}: it has no record yet")
    try:
        record.event("note", text=text, who=who)
        record.require()
    finally:
        record.close("note")
    return who


def _known_run(run: str) -> str:
    """The id, if there is such a run. Raises UsageError."""
    from stormdesk.run.record import runs_folder

    known = sorted((path.name for path in runs_folder().glob("r-*")), reverse=True)
    if run not in known:
        near = (difflib.get_close_matches(run, known, 1) or known[:1] or ["none yet"])[0]
        raise UsageError(f"--run {shown(run)}: no such run in {runs_folder()}/. The nearest or latest: {near}")
    return run


def check(what: Sequence[str], options: Options) -> int:
    """Run checks on the selected hosts; returns the exit code."""
    from stormdesk.cli import check_tasks

    return check_tasks.check(what, *options.reach(), options.show)


def at_the_desk(act: Callable[[Pool], Report], options: Options) -> int:
    """Run an operator's command on a trading stack, and show the result; returns the exit code. Raises UsageError without a stack."""
    from stormdesk.desk.operators import HTTP
    from stormdesk.ssh.pool import Pool

    inventory, dialer = options.reach()
    if not any(service in host.services for host in inventory.hosts.values() for service in HTTP):
        raise UsageError(
            f"{inventory.environment} is no trading stack of Stormdesk (no {', '.join(HTTP[:3])}, ...), and this task is for one. "
            "What its hosts run: invoke env.status"
        )
    with Pool(inventory, dialer) as pool:
        return options.show.report(act(pool))


def watch(pool: Pool) -> Stack | None:
    """How a run watches the stack on these hosts: our trading stack, or none. Its code is loaded only if there is one."""
    if not pool.inventory.trading:
        return None
    from stormdesk.desk.stack import TradingStack

    return TradingStack(pool)


def holder_of(pool: Pool, event: Event, within_s: float) -> Holder:
    """Who holds an event: the venue, or the process that makes a system call. Raises UsageError where there is neither."""
    if event.venue:
        from stormdesk.desk.venue_breakpoint import VenueHolder

        return VenueHolder(pool, event, within_s)
    from stormdesk.faults.process.held_call import HeldCall
    from stormdesk.run.held_process import ProcessHolder

    return ProcessHolder(pool, event, within_s, lambda service: HeldCall(service, event.syscall, event.nth))


def host_states(options: Options) -> Sequence[HostStatus]:
    """Each host's state, and which of its services listen; for an environment, its backend answers."""
    from stormdesk.infra import existing, over_ssh

    found = options.hosts()
    return over_ssh.status(found) if options.inventory else existing.status(found)


def exported(options: Options, format_: str) -> str:
    """The hosts in another tool's format. Unusable ones are left out, with a line on stderr."""
    from stormdesk.cli import sources
    from stormdesk.infra import access

    write = access.writer(format_)
    found = sources.resolved(options.hosts())
    for why in found.unusable.values():
        print(f"left out: {why}", file=sys.stderr)
    return write(found, options.files(found))


def drifted(options: Options, mend: bool) -> int:
    """Show the drift of an environment, and repair it with `mend`; returns the exit code."""
    from stormdesk.infra import drift

    presenter = options.show
    found = drift.find(options.env or None, mend, presenter.say)
    presenter.rows("drift", [{"part": part, "differs": "; ".join(what)} for part, what in sorted(found.items())])
    return int(ExitCode.VIOLATED) if found else 0


def one_environment(name: str) -> str:
    """The selected environment, running or not: by name, by STORMDESK_ENV, or the only one. Raises UsageError."""
    from stormdesk.infra import existing

    names = [item.name for item in existing.environments() if item.state != "elsewhere"]
    name = name or os.environ.get("STORMDESK_ENV", "")
    if name or len(names) == 1:
        return name or names[0]
    known = f"several environments: {', '.join(names)}. Say which" if names else "there is no environment. Or say which"
    raise UsageError(f"{known}: --env {min(names, default='NAME')}, or set STORMDESK_ENV")


def _nobody() -> Leader:
    raise UsageError("--host leader: this task takes a host by its name. Who leads: invoke check.steady")


def one_host(options: Options, host: str) -> tuple[Path, str]:
    """(folder, host): the one host that `--host` names, and the folder of its ssh files. Raises UsageError."""
    from stormdesk.cli import sources

    found = options.hosts()
    chosen = hosts_of(targets.chosen([host] if host else [], found, 0, Random(0), _nobody))
    if len(chosen) > 1:
        raise UsageError(f"--host {printable(host)}: must be one host, not {len(chosen)}, e.g. --host {chosen[0]}")
    found.host(chosen[0])  # raises with the reason if it is unusable
    return options.files(sources.resolved(found, chosen) if options.inventory else found), chosen[0]
