"""`invoke check.*`: the checks on an environment as it is now, without a fault. The files are in checks/."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree.ElementTree import ParseError

from stormdesk.cli.show import Show
from stormdesk.core.errors import ExitCode
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.junit import portable
from stormdesk.run.record import roomy, runs_folder, scratch
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.transport import Dialer

RESIDUE = "I-13"  # the check for residue of ours on hosts


def check(what: Sequence[str], inventory: Inventory, dialer: Dialer, show: Show) -> int:
    """Run `what` of steady, invariants and residue; their cut and a JUnit report are stored below runs/.

    Returns 0 when all held, 1 when one was violated, 5 when one is unknown or a host has residue of ours.
    """
    from stormdesk.checks.run import run_checks  # pytest: costs more than most tasks

    name = time.strftime(f"check-%Y%m%d-%H%M%S-{what[0] if len(what) == 1 else 'all'}", time.gmtime())
    folder = runs_folder() / name
    if not roomy(folder):
        folder = scratch() / name
    junit = folder / "junit.xml"
    with Pool(inventory, dialer) as pool:
        results = run_checks(inventory, pool.run, what, folder / "cut", junit=junit)
    with contextlib.suppress(OSError, ParseError):  # it was not written: the checks say so
        junit.write_bytes(portable(junit.read_bytes()))
    for result in results:
        text = (
            f"{result.id}: {result.why}"
            if result.verdict is Verdict.HELD
            else f"{result.id} {result.verdict}: {result.why}"
        )
        show.phase("check", text, result.took_s, ok=result.verdict is Verdict.HELD)
    code = exit_code(results)
    held = sum(result.verdict is Verdict.HELD for result in results)
    show.say(f"{held}/{len(results)} held.   {junit}")
    show.result({"exit_code": int(code), "checks": [asdict(result) for result in results], "junit": str(junit)})
    return int(code)


def exit_code(results: Sequence[CheckResult]) -> ExitCode:
    """The worst counts: dirty or unknown, violated, held; without results it is unknown."""
    if not results or any(
        r.verdict is Verdict.UNKNOWN or (r.id == RESIDUE and r.verdict is Verdict.VIOLATED) for r in results
    ):
        return ExitCode.DIRTY
    return ExitCode.VIOLATED if any(r.verdict is Verdict.VIOLATED for r in results) else ExitCode.HELD
