"""What operators do with a trading stack: look at its health, restart, stop it, let it go on. Each does and then looks.

Exit codes: 0 it is so now; 1 it is not; 3 a host or service did not answer, and nothing was changed there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stormdesk.drive.asked import Answer, Services
from stormdesk.drive.operate import Report
from stormdesk.drive.pool import Pool
from stormdesk.errors import ExitCode, StormdeskError, UsageError
from stormdesk.pulse import series

SETTLE_S = 15.0  # until what was told to a service shows
PULL_S = 30.0  # a kill switch cancels, and looks at the venue until nothing is open
RESTART_S = 40.0  # supervisord kills what has not stopped after five seconds; ours then needs some to answer
LOOK_S = 0.3
HTTP = ("feeder", "trader", "guard", "orchestrator", "prober", "venue")


def health(pool: Pool) -> Report:
    """What each guard says of its host, and the orchestrator of the desk."""
    services = Services(pool)
    guards = services.get("guard", "/health_v2", services.hosts("guard"))
    ops = services.get("orchestrator", "/state", services.hosts("orchestrator"))
    lines, codes = [], [ExitCode.HELD]
    for host, answer in guards.items():
        page = answer.document
        if not page or "stage" not in page:
            lines.append(f"{host}: no answer: {answer.why}")
            codes.append(ExitCode.REFUSED)
            continue
        failing = ", ".join(page["failing_components"]) or "nothing"
        old = "" if answer.ok else " TOO OLD"
        lines.append(
            f"{host}: {'well' if page['dor'] else 'NOT WELL'}, stage {page['stage']}, failing: {failing}, {page['age_s']:.1f} s old{old}"
        )
        lines += [f"{host}: alert {alert['id']}: {alert['text']}" for alert in page["alerts"]]
        codes.append(ExitCode.HELD if page["dor"] and answer.ok else ExitCode.VIOLATED)
    for host, answer in ops.items():
        reasons = answer.document.get("reasons")
        lines.append(
            f"{host}: {answer.why if reasons is None else 'paused: ' + '; '.join(reasons) if reasons else 'trading'}"
        )
        codes.append(ExitCode.REFUSED if reasons is None else ExitCode.VIOLATED if reasons else ExitCode.HELD)
    document = {"hosts": {host: answer.document for host, answer in guards.items()}, "desk": _only(ops).document}
    return Report(ExitCode.worst(*codes), tuple(lines), document)


def metrics(pool: Pool, service: str, name: str) -> Report:
    """Every sample of the services, of those whose name starts with `name`."""
    services = Services(pool)
    wanted = [service] if service else [known for known in HTTP if _runs(pool, known)]
    lines, found, code = [], dict[str, dict[str, dict[str, float]]](), ExitCode.HELD
    for one in wanted:
        for host, answer in services.get(one, "/metrics", services.hosts(one)).items():
            if not answer.ok:
                lines.append(f"{host} {one}: no answer: {answer.why}")
                code = ExitCode.REFUSED
                continue
            samples = {_sample(n, labels): v for n, labels, v in series(answer.text) if n.startswith(name)}
            found.setdefault(host, {})[one] = samples
            lines += [f"{host} {one} {sample} {value:g}" for sample, value in samples.items()]
    return Report(code, tuple(lines), {"metrics": found})


def restart(pool: Pool, service: str, hosts: Sequence[str]) -> Report:
    """Restart a service by its supervisor, host after host, each when the one before answers again."""
    services = Services(pool)
    if not service:
        raise UsageError("stack.restart needs --service, e.g. --service trader")
    lines, done = [], {}
    for host in services.hosts(service, hosts):
        try:
            why = _restart(pool, host, service)
        except StormdeskError as error:
            why = str(error)
        lines.append(f"{host}: {service} {'does NOT run: ' + why if why else 'was restarted and answers'}")
        done[host] = not why
        if why:
            break  # the others go on as they are
    return Report(ExitCode.HELD if all(done.values()) else ExitCode.VIOLATED, tuple(lines), {"restarted": done})


def kill_switch(pool: Pool, on: bool, off: bool, by: str, reason: str) -> Report:
    """Pull or reset the kill switch of every trader; where the trader is dead its host's guard does it, with a key of its own."""
    if on == off:
        raise UsageError("stack.kill-switch needs either --on or --off")
    services, order = Services(pool), _order(by, reason or "kill switch")
    hosts = services.hosts("trader")
    path = "/execution/kill-switch/" + ("activate" if on else "reset")
    told = services.post("trader", path, order if on else {"by": by}, hosts, PULL_S)
    dead = [host for host, answer in told.items() if not answer.ok] if on else hosts
    way = "/kill-switch" if on else "/kill-switch/reset"
    guards = services.post("guard", way, order, dead, PULL_S) if dead else {}
    lines, good = [], []
    for host in hosts:
        trader, guard = told[host], guards.get(host)
        if on:
            seen = _seen(services, host) if trader.ok else (guard.document.get("venue") or {}) if guard else {}
            good.append(bool(seen.get("verified")))
            who = "trader" if trader.ok else f"guard (the trader: {trader.why})"
            open_orders = seen.get("open_at_venue", "unknown")
            lines.append(f"{host}: pulled by the {who}; open at the venue: {open_orders}, verified: {good[-1]}")
        else:
            good.append(trader.ok and guard is not None and guard.ok)
            lines.append(f"{host}: " + ("reset" if good[-1] else f"NOT reset: {_first_no(trader, guard)}"))
    return Report(
        ExitCode.HELD if all(good) else ExitCode.VIOLATED,
        tuple(lines),
        {"on": on, "hosts": dict(zip(hosts, good, strict=True))},
    )


def clear_failsafe(pool: Pool, by: str, hosts: Sequence[str]) -> Report:
    """Take hosts out of FAILSAFE: orders are allowed again, and what is dead is restarted anew."""
    services, order = Services(pool), _order(by)
    found = services.get("guard", "/stage", services.hosts("guard", hosts))
    stuck = [host for host, answer in found.items() if answer.document.get("stage") in ("FAILSAFE", "NOTIFY")]
    told = services.post("guard", "/clear-failsafe", order, stuck, PULL_S) if stuck else {}
    after = services.get("guard", "/health_v2", stuck) if stuck else {}
    good = {
        host: told[host].ok and services.get("guard", "/stage", [host])[host].document.get("stage") != "FAILSAFE"
        for host in told
    }
    lines = [f"{host}: {'cleared' if good[host] else 'NOT cleared: ' + told[host].why}" for host in stuck]
    lines += [f"{host}: no answer: {a.why}" for host, a in found.items() if not a.ok]
    codes = [ExitCode.HELD if fine else ExitCode.VIOLATED for fine in good.values()]
    codes += [ExitCode.REFUSED for answer in found.values() if not answer.ok]
    document = {"cleared": good, "health": {host: answer.document for host, answer in after.items()}}
    return Report(ExitCode.worst(*codes), tuple(lines) or ("no host is in FAILSAFE",), document)


def reset_breakers(pool: Pool, symbol: str) -> Report:
    """Close the circuit breakers of all traders, of one symbol or of all."""
    services = Services(pool)
    told = services.post(
        "trader", "/execution/breakers/reset", {"symbol": symbol} if symbol else {}, services.hosts("trader")
    )
    return _told(told, "breakers closed")


def pause(pool: Pool, by: str, reason: str) -> Report:
    """No new orders from now on, at any trader, until somebody resumes."""
    return _desk(pool, "/pause", _order(by, reason), "paused", bool)


def resume(pool: Pool, by: str) -> Report:
    """Trade again; with that every alert is answered. Kill switches are reset on their own."""
    return _desk(pool, "/resume", _order(by), "resumed", lambda reasons: not reasons)


def abort(pool: Pool, by: str, reason: str) -> Report:
    """Pause, and pull every trader's kill switch."""
    return _desk(pool, "/abort", _order(by, reason), "aborted", bool)


# -- inside ------------------------------------------------------------------------------------------------------------


def _order(by: str, reason: str = "") -> Mapping[str, str]:
    if not by.strip():
        raise UsageError("--by NAME is required: somebody answers for this")
    return {"by": by, "reason": reason} if reason else {"by": by}


def _desk(pool: Pool, path: str, order: Mapping[str, str], word: str, wanted: Callable[[list[str]], bool]) -> Report:
    """Tell the orchestrator, then wait until every trader that answers says so."""
    services = Services(pool)
    told = _only(services.post("orchestrator", path, order, services.hosts("orchestrator")))
    if not told.ok:
        return Report(ExitCode.REFUSED, (f"the orchestrator did not: {told.why}",), {"done": False})
    traders, until = services.hosts("trader"), time.monotonic() + SETTLE_S
    while True:
        pages = {h: a.document for h, a in services.get("trader", "/health", traders).items()}
        left = [host for host, page in pages.items() if page and not wanted(_pauses(page))]
        if not left or time.monotonic() > until:
            break
        time.sleep(LOOK_S)
    lines = [
        f"{host}: {'no answer' if not page else 'NOT ' + word if host in left else word}"
        for host, page in pages.items()
    ]
    return Report(
        ExitCode.VIOLATED if left else ExitCode.HELD, tuple(lines), {"done": not left, "state": told.document}
    )


def _pauses(page: Mapping[str, Any]) -> list[str]:
    """Why a trader is paused by command; other gates are closed for reasons of their own."""
    return [reason for reason in (page.get("paused") or {}).get("reasons", ()) if str(reason).startswith("pause")]


def _seen(services: Services, host: str) -> Mapping[str, Any]:
    """A trader's kill switch, once it has seen that nothing is open at the venue, or the time is over."""
    until = time.monotonic() + SETTLE_S
    while True:
        status = services.get("trader", "/execution/kill-switch/status", [host])[host].document
        if status.get("verified") or time.monotonic() > until:
            return status
        time.sleep(LOOK_S)


def _restart(pool: Pool, host: str, service: str) -> str:
    """Why it does not run after all; "" when it does."""
    done = pool.run(host, ("supervisorctl", "restart", service), RESTART_S)
    if not done.ok:
        return " ".join((done.stdout + done.stderr).split())[:200]
    if service not in HTTP:
        return ""
    until = time.monotonic() + RESTART_S
    while True:
        answer = Services(pool).get(service, "/metrics", [host])[host]
        if answer.ok or time.monotonic() > until:
            return "" if answer.ok else answer.why
        time.sleep(LOOK_S)


def _told(told: Mapping[str, Answer], word: str) -> Report:
    lines = [f"{host}: {word if answer.ok else 'NOT ' + word + ': ' + answer.why}" for host, answer in told.items()]
    codes = [ExitCode.HELD if a.ok else ExitCode.VIOLATED if a.status else ExitCode.REFUSED for a in told.values()]
    return Report(ExitCode.worst(*codes), tuple(lines), {"hosts": {host: answer.ok for host, answer in told.items()}})


def _first_no(*answers: Answer | None) -> str:
    return next((answer.why for answer in answers if answer is not None and not answer.ok), "no answer")


def _runs(pool: Pool, service: str) -> bool:
    return any(service in host.services for host in pool.inventory.hosts.values())


def _only(answers: Mapping[str, Answer]) -> Answer:
    return next(iter(answers.values()))


def _sample(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name
