"""What a step of a runbook may do to the trading stack: operators' tasks and signals from outside, each by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stormdesk.core.errors import ExitCode, HostError, UsageError
from stormdesk.core.schedule import Act
from stormdesk.desk import operators, same_health
from stormdesk.desk.http_services import Services
from stormdesk.desk.state_files import ledgers, state_files
from stormdesk.run.aside import Acted
from stormdesk.run.operate import Report
from stormdesk.ssh.pool import Pool

BATCH = 50  # signals that one command sends
MOST_SIGNALS = 1000
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "qty": "0.00100",
    "price": "58000.00",
}  # rests far from the market


def _signal(pool: Pool, signal: str, count: str = "1", **order: str) -> Report:
    """Give every trader the same signal `count` times: whoever leads takes it, the others refuse. `{n}` in it is the number of the
    time, so that each is another signal."""
    if not count.isdecimal() or not 1 <= int(count) <= MOST_SIGNALS:
        raise UsageError(f"stack.signal: count {count} is no number from 1 to {MOST_SIGNALS}")
    services = Services(pool)
    hosts = services.hosts("trader")
    body = {**ORDER, **order}
    said: dict[str, int] = {}
    each = [{**body, "signal": signal.replace("{n}", str(number))} for number in range(int(count))]
    for start in range(0, len(each), BATCH):
        for answers in services.post_each("trader", "/execution/intents", each[start : start + BATCH], hosts).values():
            for answer in answers:
                what = answer.document.get("skipped") or ("accepted" if answer.status == 202 else answer.why)
                said[str(what)] = said.get(str(what), 0) + 1
    lines = tuple(f"{what}: {times}" for what, times in sorted(said.items()))
    return Report(ExitCode.HELD, lines, {"signal": signal, "answers": said})


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _refused(pool: Pool, task: str, **options: str) -> Report:
    """Another task, which must not come about: the desk has to refuse it, or to say that it failed."""
    if task not in ACTS or task == "stack.refused":
        raise UsageError(f"stack.refused: no task '{task}'. Known: {', '.join(sorted(ACTS))}")
    report = ACTS[task](pool, **options)
    refused = report.exit_code is not ExitCode.HELD
    lines = (f"{task}: {'refused' if refused else 'done, and should have been refused'}", *report.lines)
    return Report(ExitCode.HELD if refused else ExitCode.VIOLATED, lines, report.document)


ACTS: Mapping[str, Callable[..., Report]] = {
    "stack.abort": lambda pool, by, reason="": operators.abort(pool, by, reason),
    "stack.clear-failsafe": lambda pool, by, host="": operators.clear_failsafe(pool, by, _hosts(host)),
    "stack.health": operators.health,
    "stack.kill-switch-off": lambda pool, by, reason="": operators.kill_switch(pool, False, True, by, reason),
    "stack.kill-switch-on": lambda pool, by, reason="": operators.kill_switch(pool, True, False, by, reason),
    "stack.lead": operators.lead,
    "stack.ledgers": ledgers,
    "stack.pause": lambda pool, by, reason="": operators.pause(pool, by, reason),
    "stack.reconcile": lambda pool, accept="", by="": operators.reconcile(pool, accept, by),
    "stack.refused": _refused,
    "stack.reset-breakers": lambda pool, symbol="": operators.reset_breakers(pool, symbol),
    "stack.reset-repeats": lambda pool, by, strategy="": operators.reset_repeats(pool, by, strategy),
    "stack.restart": lambda pool, service, host="": operators.restart(pool, service, _hosts(host)),
    "stack.resume": operators.resume,
    "stack.same-health": same_health.compare,
    "stack.signal": _signal,
    "stack.state-files": state_files,
}


def perform(pool: Pool, act: Act) -> Acted:
    """Do it, and say what came of it in one line. Raises UsageError for options that it does not take, HostError when it did not
    come about."""
    options: Mapping[str, Any] = act.options
    try:
        report = ACTS[act.task](pool, **options)
    except TypeError as error:
        raise UsageError(f"{act.task}: {str(error).partition('() ')[2] or error}") from error
    said = "; ".join(report.lines)
    if report.exit_code is not ExitCode.HELD:
        raise HostError(f"{act.task}: {said}")
    done = report.document.get("restarted", {})
    return Acted(said, tuple((host, options.get("service", "trader")) for host, well in done.items() if well))
