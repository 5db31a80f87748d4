"""Operators' actions on a trading stack: health, restart, stop, resume. Each acts, then verifies.

Exit codes: 0 it is so now; 1 it is not; 3 a host or service did not answer, and nothing was changed there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stormdesk.core.errors import ExitCode, HostError, StormdeskError, UsageError
from stormdesk.desk import kill_switches
from stormdesk.desk.http_services import Answer, Services
from stormdesk.desk.kill_switches import PULL_S
from stormdesk.desk.operators_log import recorded
from stormdesk.desk.settling import SETTLE_S, settled
from stormdesk.evidence.metrics import series
from stormdesk.run.operate import Report
from stormdesk.ssh.pool import Pool

RESTART_S = 60.0  # its manager kills what has not stopped after five seconds; ours then needs some to answer
RECONCILE_S = 30.0  # orders, trades and balances of the account
VENUE_CONFIG = "/etc/trading/venue.json"
ACCEPTABLE = ("rollback", "balance")
GIVEN_UP = ("FAILSAFE", "NOTIFY")
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
    wanted = [service] if service else [known for known in HTTP if services.known(known)]
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


@recorded("stack.restart")
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


@recorded("stack.lead")
def lead(pool: Pool, host: str) -> Report:
    """Have that trader lead: whoever does is restarted until it does, once at most each."""
    services, restarted = Services(pool), dict[str, bool]()
    (wanted,) = services.hosts("trader", (host,))

    def leads() -> list[str]:
        pages = services.get("trader", "/health", services.hosts("trader"))
        return [h for h, a in pages.items() if (a.document.get("leader") or {}).get("is_leader")]

    for other in settled(leads, bool, RESTART_S):
        if other != wanted:
            restarted[other] = not _restart(pool, other, "trader")
    done = settled(leads, lambda seen: seen == [wanted], RESTART_S) == [wanted]
    text = "leads" if done else "does NOT lead"
    return Report(ExitCode.HELD if done else ExitCode.VIOLATED, (f"{wanted}: {text}",), {"restarted": restarted})


@recorded("stack.kill-switch")
def kill_switch(pool: Pool, on: bool, off: bool, by: str, reason: str) -> Report:
    """Pull or reset the kill switch of every trader; where the trader is dead its host's guard does it, with a key of its own."""
    if on == off:
        raise UsageError("stack.kill-switch needs either --on or --off")
    services, order = Services(pool), _order(by, reason)
    hosts = services.hosts("trader")
    ended = kill_switches.pull(services, hosts, order) if on else kill_switches.release(services, hosts, order)
    lines = [f"{host}: {why}" for host, (_, why) in ended.items()]
    good = {host: fine for host, (fine, _) in ended.items()}
    return Report(ExitCode.HELD if all(good.values()) else ExitCode.VIOLATED, tuple(lines), {"on": on, "hosts": good})


@recorded("stack.clear-failsafe")
def clear_failsafe(pool: Pool, by: str, hosts: Sequence[str]) -> Report:
    """Take hosts out of FAILSAFE, and their guards' alerts away: orders are allowed again, what is dead is restarted anew."""
    services, order = Services(pool), _order(by)
    found = services.get("guard", "/health_v2", services.hosts("guard", hosts))
    silent = {host: answer.why for host, answer in found.items() if "stage" not in answer.document}
    pages = {host: answer.document for host, answer in found.items() if host not in silent}
    stuck = [host for host, page in pages.items() if page["stage"] in GIVEN_UP or page["alerts"]]
    told = services.post("guard", "/clear-failsafe", order, stuck, PULL_S) if stuck else {}
    after = services.get("guard", "/stage", stuck) if stuck else {}
    good = {h: told[h].ok and after[h].ok and after[h].document.get("stage") not in GIVEN_UP for h in stuck}
    lines = [f"{host}: {'cleared' if good[host] else 'NOT cleared: ' + told[host].why}" for host in stuck]
    lines += [f"{host}: no answer: {why}" for host, why in silent.items()]
    codes = [ExitCode.HELD if fine else ExitCode.VIOLATED for fine in good.values()]
    codes += [ExitCode.REFUSED for _ in silent]
    return Report(ExitCode.worst(*codes), tuple(lines) or ("no host is in FAILSAFE",), {"cleared": good})


@recorded("stack.reset-breakers")
def reset_breakers(pool: Pool, symbol: str) -> Report:
    """Close the circuit breakers of all traders, of one symbol or of all."""
    services = Services(pool)
    word = {"symbol": symbol} if symbol else {}

    def judge(answer: Answer) -> tuple[bool, str]:
        states = {s: state for s, state in answer.document.items() if not symbol or s == symbol}
        closed = answer.ok and bool(states) and set(states.values()) == {"CLOSED"}
        return closed, f"closed: {', '.join(sorted(states))}" if closed else f"NOT closed: {answer.why}"

    return _reset(services.post("trader", "/execution/breakers/reset", word, services.hosts("trader")), judge)


@recorded("stack.reset-repeats")
def reset_repeats(pool: Pool, by: str, strategy: str) -> Report:
    """Let strategies trade again that have signalled too often: one, or all."""
    services = Services(pool)
    order = {**_order(by), "strategy": strategy} if strategy else _order(by)

    def judge(answer: Answer) -> tuple[bool, str]:
        shut = [name for name in answer.document.get("closed", ()) if name == (strategy or name)]
        is_open = answer.ok and not shut
        return is_open, "open" if is_open else f"NOT open: {', '.join(shut) or answer.why}"

    return _reset(services.post("trader", "/execution/repeats/reset", order, services.hosts("trader")), judge)


@recorded("stack.reconcile")
def reconcile(pool: Pool, accept: str, by: str) -> Report:
    """Have the leader compare its books with the venue's; before that take the venue's word for one kind of difference."""
    if accept not in ("", *ACCEPTABLE):
        raise UsageError(f"--accept {accept}: there is: {', '.join(ACCEPTABLE)}. Without it nothing is accepted")
    services, word = Services(pool), {"accept": accept, **_order(by)} if accept else {}
    pages = services.get("trader", "/health", services.hosts("trader"))
    leader = next((h for h, a in pages.items() if (a.document.get("leader") or {}).get("is_leader")), None)
    if leader is None:
        return Report(ExitCode.REFUSED, ("no trader leads: nobody keeps the books",), {"clean": False})
    told = services.post("trader", "/reconcile", word, [leader], RECONCILE_S)[leader]
    if not told.ok:
        return Report(ExitCode.REFUSED, (f"{leader}: it did not: {told.why}",), {"clean": False})
    found = told.document
    lines = [f"{leader}: taken into the books: {item['kind']} {item['what']}" for item in found["mended"]]
    lines += [f"{leader}: DIFFERS: {item['kind']} {item['what']}" for item in found["drift"]]
    lines += [f"{leader}: the books are the venue's"] if found["clean"] else []
    return Report(ExitCode.HELD if found["clean"] else ExitCode.VIOLATED, tuple(lines), found)


def guest(pool: Pool) -> Report:
    """What a bot from outside needs to trade here: where the venue is, and the keys of the account that is there for it."""
    (host, *_) = Services(pool).hosts("venue")
    done = pool.run(host, ("cat", VENUE_CONFIG), SETTLE_S)
    try:
        config = json.loads(done.stdout)
        account = next(entry for entry in config["accounts"] if entry["name"] == "guest")
    except (ValueError, StopIteration) as error:
        raise HostError(f"{host}: {VENUE_CONFIG} names no account for guests. A newer env.up makes one") from error
    port = config["listen"].rpartition(":")[2]
    document = {
        "rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}",
        "api_key": account["api_key"], "api_secret": account["api_secret"], "symbols": ", ".join(sorted(config["symbols"])),
        "tunnel": f"invoke env.export >hosts.ssh && ssh -F hosts.ssh -N -L {port}:127.0.0.1:{port} {host}",
    }  # fmt: skip
    return Report(ExitCode.HELD, tuple(f"{key:<11}{value}" for key, value in document.items()), document)


@recorded("stack.pause")
def pause(pool: Pool, by: str, reason: str) -> Report:
    """No new orders from now on, at any trader, until somebody resumes."""
    return _desk(pool, "/pause", _order(by, reason), "paused", _paused)


@recorded("stack.resume")
def resume(pool: Pool, by: str) -> Report:
    """Trade again; with that every alert is answered. Kill switches are reset on their own."""
    return _desk(pool, "/resume", _order(by), "resumed", lambda page: not _paused(page))


@recorded("stack.abort")
def abort(pool: Pool, by: str, reason: str) -> Report:
    """Pause, and pull every trader's kill switch."""
    return _desk(pool, "/abort", _order(by, reason), "aborted", lambda page: _paused(page) and _killed(page))


# -- inside ------------------------------------------------------------------------------------------------------------


def _order(by: str, reason: str = "") -> Mapping[str, str]:
    if not by.strip():
        raise UsageError("--by NAME is required: somebody answers for this")
    return {"by": by, "reason": reason} if reason else {"by": by}


def _reset(told: Mapping[str, Answer], judge: Callable[[Answer], tuple[bool, str]]) -> Report:
    """What became of a reset at each host: `judge` says whether it is so, and how it is said."""
    judged = {host: judge(answer) for host, answer in told.items()}
    codes = [
        ExitCode.HELD if good else ExitCode.VIOLATED if told[host].status else ExitCode.REFUSED
        for host, (good, _) in judged.items()
    ]
    lines = tuple(f"{host}: {text}" for host, (_, text) in judged.items())
    return Report(ExitCode.worst(*codes), lines, {"hosts": {h: answer.document for h, answer in told.items()}})


def _desk(
    pool: Pool, path: str, order: Mapping[str, str], word: str, wanted: Callable[[Mapping[str, Any]], bool]
) -> Report:
    """Tell the orchestrator, then wait until every trader that answers says so."""
    services = Services(pool)
    told = _only(services.post("orchestrator", path, order, services.hosts("orchestrator")))
    if not told.ok:
        return Report(ExitCode.REFUSED, (f"the orchestrator did not: {told.why}",), {"done": False})
    traders = services.hosts("trader")

    def look() -> tuple[Mapping[str, Mapping[str, Any]], list[str]]:
        pages = {h: a.document for h, a in services.get("trader", "/health", traders).items()}
        return pages, [host for host, page in pages.items() if page and not wanted(page)]

    pages, left = settled(look, lambda seen: not seen[1], SETTLE_S)
    lines = [f"{h}: {'no answer' if not page else 'NOT ' + word if h in left else word}" for h, page in pages.items()]
    return Report(
        ExitCode.VIOLATED if left else ExitCode.HELD, tuple(lines), {"done": not left, "state": told.document}
    )


def _paused(page: Mapping[str, Any]) -> bool:
    """Is a trader paused by command? Its other gates are closed for reasons of their own."""
    return any(str(reason).startswith("pause:") for reason in (page.get("paused") or {}).get("reasons", ()))


def _killed(page: Mapping[str, Any]) -> bool:
    return bool((page.get("kill_switch") or {}).get("active"))


def _restart(pool: Pool, host: str, service: str) -> str:
    """Why it does not run after all; "" when it does."""
    by_systemd = pool.inventory.host(host).services[service].manager == "systemd"
    done = pool.run(host, ("systemctl" if by_systemd else "supervisorctl", "restart", service), RESTART_S)
    if not done.ok:
        return " ".join((done.stdout + done.stderr).split())[:200]
    if service not in HTTP:
        return ""
    answer = settled(lambda: Services(pool).get(service, "/metrics", [host])[host], lambda seen: seen.ok, RESTART_S)
    return "" if answer.ok else answer.why


def _only(answers: Mapping[str, Answer]) -> Answer:
    return next(iter(answers.values()))


def _sample(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name
