"""Commands for developers of Stormdesk: the checks of the code, and the long tests. Needs the checkout and its development packages."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stormdesk.cli.show import Show
from stormdesk.core.errors import ExitCode, RefusedError, UsageError
from stormdesk.core.values import printable
from stormdesk.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
FAST: Mapping[str, tuple[str, ...]] = {
    "lint": ("ruff", "check", "--quiet"),
    "types": ("mypy", "--no-error-summary"),
    "tests": ("pytest", "-q", "-m", "not lab", "tests/unit", "tests/shell"),
}
BENCHES: Mapping[str, tuple[str, ...]] = {
    "stack": ("tests.bench.venue", "tests.bench.feeder", "tests.bench.trader", "tests.bench.resident"),
}
DEADLINE_S = 300.0
ACCELERATORS = ("auto", "tcg", "kvm")
VM_CODES: Mapping[int, ExitCode] = {2: ExitCode.USAGE, 77: ExitCode.REFUSED}  # 77: skipped


def check(show: Show) -> int:
    """Lint, types and the tests that need no lab, offline. 0, or 1 when one of them failed."""
    _need_checkout()
    return max(_run(name, words, show) for name, words in FAST.items())


def crashtest(kills: int, seed: int, *, watchdogs: bool) -> int:
    """Kill the controller of real runs `kills` times, at every step, and with `watchdogs` one of the host's two each time. 0 when every
    host healed, else 1."""
    more = ("--watchdogs",) if watchdogs else ()
    return _through("tests.crash.run", "--kills", str(kills), "--seed", str(seed), *more)


def networks(count: int, seed: int) -> int:
    """Take an interface of random networks, from `seed` on, down and up as the fault does. 0 when each came back fact by fact, else 1."""
    return _through("tests.shell.test_link_generated", "--count", str(count), "--seed", str(seed))


def operators(holds: int, seed: int) -> int:
    """Let an operator work on a lab host around `holds` short holds, then plant leftovers. 0 when all that the operator did was
    kept, no run was called dirty for it, and every leftover was seen, else 1."""
    return _through("tests.soak.run", "--holds", str(holds), "--seed", str(seed))


def powercut(cuts: int, breakpoints: int, planted: int, seed: int) -> int:
    """Cut the power of a trader's volume while it trades. 0 when no acknowledged order was lost and all judges held, and with each planted
    bug were violated; else 1."""
    counts = ("--random", str(cuts), "--breakpoints", str(breakpoints), "--planted", str(planted))
    return _through("tests.soak.power_cuts", *counts, "--seed", str(seed))


def bench(suite: str) -> int:
    """Measure a suite; nothing is asserted. Raises UsageError for a suite that does not exist."""
    if suite not in BENCHES:
        raise UsageError(f"--suite {suite}: there is: {', '.join(BENCHES)}. For example: --suite stack")
    return max(_through(module) for module in BENCHES[suite])


def fuzz(for_s: float) -> int:
    """Fuzz the targets of tests/fuzz/targets.py, for this many seconds in total. 0, or 1 when something was found."""
    return _through("tests.fuzz", "--for", f"{for_s:.0f}")


def contract(*, full_timers: bool) -> int:
    """Run third-party clients against the venue, each in an environment of its own; then, on request, the stack's scenarios with the
    full timers. 0, or 1 when a check failed."""
    more = ("--full-timers", "tests/e2e") if full_timers else ()
    return _through("pytest", "-p", "no:cacheprovider", "tests/contract", *more)


def soak(percent: float) -> int:
    """Run every repeated test at `percent` of its full count. 0, or 1 when one of them failed."""
    return _through("pytest", "-p", "stormdesk.cli.repeated", "--counts", f"{percent:.0f}", "tests")


def vm(only: str, accel: str, *, keep: bool) -> int:
    """Run the list of tests/vm on a Debian machine in QEMU. 0: all held, or failed as expected; 1: not so; REFUSED: skipped,
    there can be no QEMU here, and it has said why. Raises UsageError for an accelerator that does not exist.
    """
    if accel not in ACCELERATORS:
        raise UsageError(f"--accel {printable(accel)}: it must be one of {', '.join(ACCELERATORS)}")
    words = (*(("--only", only) if only else ()), "--accel", accel, *(("--keep",) if keep else ()))
    return _through("tests.vm", *words, codes=VM_CODES)


def schemas() -> int:
    """Write docs/formats/schemas from the structs that write and read the documents."""
    return _through("tests.unit.schemas")


def scenarios(run: str) -> int:
    """Take a run's result into docs/scenarios ("": none), and write docs/scenarios.md. 0, or 1 when it is no run of a runbook."""
    return _through("tests.unit.scenarios", *([run] if run else []))


def bless(fault: str) -> int:
    """Rewrite the expected plan or error of the cases of one fault, "" for all. Raises UsageError for a fault without cases."""
    known = sorted(folder.name for folder in (ROOT / "tests/cases").iterdir() if folder.name in FAULTS)
    if fault and fault not in known:
        raise UsageError(f"--fault {printable(fault)}: it must be one of {', '.join(known)}")
    return _through("tests.cases.bless", *([fault] if fault else []))


def release(into: Path) -> int:
    """Write a release of the commit that is checked out to `into`, and audit it; as `release.release` says."""
    from stormdesk.cli import release as releasing

    _need_checkout()
    return releasing.release(ROOT, into)


def _through(*words: str, codes: Mapping[int, ExitCode] = MappingProxyType({})) -> int:
    """Run a module in the checkout on this process's terminal. `codes` says what its exit codes mean besides 0; any other
    is VIOLATED.
    """
    _need_checkout()
    code = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=False).returncode
    return int(ExitCode.HELD if code == 0 else codes.get(code, ExitCode.VIOLATED))


def _need_checkout() -> None:
    if not (ROOT / "pyproject.toml").is_file():
        raise RefusedError(f"{ROOT} is not a checkout. Run this where the source is")


def _run(name: str, words: tuple[str, ...], show: Show) -> int:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    good = done.returncode == 0
    if not good:
        print(done.stdout + done.stderr, file=sys.stderr)
    show.phase(name, " ".join(words), time.monotonic() - began, ok=good)
    return int(ExitCode.HELD if good else ExitCode.VIOLATED)
