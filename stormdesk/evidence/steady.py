"""The judges of the steady state. Pure: the hosts' answers in, a CheckResult for each question out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.metrics import series
from stormdesk.host.probe import Space, space

MIN_FREE_PERCENT = 10
MAX_STREAM_AGE_S = 5.0
MAX_GUARD_AGE_S = 30  # two of its intervals
GUARDING = ("OBSERVE", "RESTART", "REWIRE")
SECTION = "==stormdesk== "


@dataclass(frozen=True)
class Vitals:
    """What one host said in one round trip. `pages` are HTTP answers by name: (status, body); `later` the metrics a
    moment after the first reading, `waited_s` how long that moment was; `disk` is its data volume."""

    host: str
    pages: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    later: str = ""
    waited_s: float = 0.0
    disk: Space | None = None

    def metric(self, name: str, text: str | None = None, **labels: str) -> float | None:
        """The sum of a metric's series that carry these labels; None when there is none."""
        page = self.pages.get("metrics", (0, ""))[1] if text is None else text
        values = [v for n, found, v in series(page) if n == name and labels.items() <= found.items()]
        return sum(values) if values else None


def parse(host: str, text: str) -> Vitals:
    """The answer of stormdesk/host/probes/vitals.sh: sections, each `==stormdesk== <name> <number>` and its text.

    Raises HostError when it is not whole.
    """
    sections: dict[str, tuple[str, str]] = {}
    for part in text.split(SECTION)[1:]:
        head, _, body = part.partition("\n")
        name, _, number = head.partition(" ")
        sections[name] = (number.strip(), body)
    if "end" not in sections:
        raise HostError(f"{host}: its answer is not whole: {text[-80:]!r}")
    pages = {name: (_status(number), body) for name, (number, body) in sections.items()}
    waited, later = sections.get("later", ("0", ""))
    df, inodes = (sections.get(name, ("", ""))[1].rstrip() for name in ("df", "inodes"))
    return Vitals(host, pages, later, _status(waited) / 10, space(df, inodes) if df else None)


def _status(number: str) -> int:
    return int(number) if number.isdigit() else 0


def services(host: str, states: Mapping[str, bool] | StormdeskError) -> CheckResult:
    """The managers run every service that they are to run; `states` says which do."""
    if isinstance(states, StormdeskError):
        return CheckResult(f"services {host}", Verdict.UNKNOWN, str(states))
    stopped = sorted(name for name, runs in states.items() if not runs)
    verdict = Verdict.VIOLATED if stopped else Verdict.HELD if states else Verdict.UNKNOWN
    why = f"not running: {', '.join(stopped)}" if stopped else f"running: {', '.join(sorted(states)) or 'none asked'}"
    return CheckResult(f"services {host}", verdict, why, sources={"services": len(states)})


def ports(host: str, wanted: Mapping[int, str], sockets: Iterable[str] | StormdeskError) -> CheckResult:
    """Every port of `wanted`, named `<service> <port>`, is listened on; `sockets` are as testinfra names them."""
    if isinstance(sockets, StormdeskError):
        return CheckResult(f"ports {host}", Verdict.UNKNOWN, str(sockets))
    heard = {int(spec.rpartition(":")[2]) for spec in sockets if spec.startswith("tcp://")}
    silent = [name for port, name in wanted.items() if port not in heard]
    verdict = Verdict.VIOLATED if silent else Verdict.HELD if wanted and heard else Verdict.UNKNOWN
    why = f"nobody listens: {', '.join(silent)}" if silent else f"listening: {', '.join(wanted.values())}"
    return CheckResult(f"ports {host}", verdict, why, sources={"ports": len(wanted), "sockets": len(heard)})


def http(vitals: Mapping[str, Vitals], traders: Iterable[str]) -> CheckResult:
    """Every trader answers /health, and the leader /ready."""

    def wrong() -> Iterator[str]:
        for host in names:
            if vitals[host].pages.get("health", (0, ""))[0] != 200:
                yield f"{host}: /health answers {vitals[host].pages.get('health', (0, ''))[0] or 'nothing'}"
        if not any(vitals[host].pages.get("ready", (0, ""))[0] == 200 for host in names):
            yield f"no trader is ready: {vitals[names[0]].pages.get('ready', (0, 'no answer'))[1].strip()[:120]}"

    names = [host for host in traders if host in vitals]
    return _judge("http", names, traders, wrong(), f"{len(names)} traders healthy, one ready")


def code(vitals: Mapping[str, Vitals], traders: Iterable[str]) -> CheckResult:
    """All traders run the same code: one host that was left out of a rollout is enough to lose the firm (Knight, 2012)."""
    pages = {host: _document(vitals[host].pages.get("health", (0, ""))[1]) for host in traders if host in vitals}
    runs = {host: str(page["code"]) for host, page in pages.items() if "code" in page}

    def wrong() -> Iterator[str]:
        if len(set(runs.values())) > 1:
            yield f"not the same code: {', '.join(f'{host} runs {one}' for host, one in runs.items())}"

    return _judge("code", list(runs), traders, wrong(), f"{next(iter(runs.values()), '')} on {len(runs)} traders")


def leader(vitals: Mapping[str, Vitals], traders: Iterable[str]) -> CheckResult:
    """Exactly one trader is the leader."""
    names = [host for host in traders if host in vitals and vitals[host].metric("trader_is_leader") is not None]
    leaders = [host for host in names if vitals[host].metric("trader_is_leader")]

    def wrong() -> Iterator[str]:
        if len(leaders) != 1:
            yield f"{len(leaders)} leaders{': ' if leaders else ''}{', '.join(leaders)}"

    return _judge("leader", names, traders, wrong(), f"{leaders[0] if leaders else ''} and nobody else")


def flow(vitals: Mapping[str, Vitals], traders: Iterable[str]) -> CheckResult:
    """Orders are accepted, and none is of unknown state."""
    names = [host for host in traders if host in vitals and vitals[host].metric("trader_orders_total") is not None]
    before = {host: vitals[host].metric("trader_orders_total", state="accepted") or 0.0 for host in names}
    after = {h: vitals[h].metric("trader_orders_total", vitals[h].later, state="accepted") or 0.0 for h in names}
    grown = int(sum(after.values()) - sum(before.values()))
    waited = max((vitals[host].waited_s for host in names), default=0.0)

    def wrong() -> Iterator[str]:
        if grown <= 0:
            yield f"no order accepted in {waited:g} s ({int(sum(after.values()))} so far)"
        for host in names:
            if unknown := vitals[host].metric("trader_order_unknown"):
                yield f"{host}: {unknown:g} orders of unknown state"

    return _judge("orders flow", names, traders, wrong(), f"{grown} orders accepted in {waited:g} s")


def disk(vitals: Mapping[str, Vitals], hosts: Iterable[str]) -> CheckResult:
    """Every data volume has room."""
    spaces = {host: v.disk for host, v in vitals.items() if v.disk is not None}
    free = {host: 100 * s.free_kib / max(1, s.used_kib + s.free_kib) for host, s in spaces.items()}

    def wrong() -> Iterator[str]:
        for host, percent in sorted(free.items(), key=lambda item: item[1]):
            if percent < MIN_FREE_PERCENT:
                yield f"{host}: {percent:.0f} % of {spaces[host].mount} is free, at least {MIN_FREE_PERCENT} % needed"

    least = min(free, key=lambda host: free[host], default="")
    return _judge("disk", list(free), hosts, wrong(), f"{free.get(least, 0):.0f} % free or more ({least})")


def stream(vitals: Mapping[str, Vitals], traders: Iterable[str]) -> CheckResult:
    """The market data that each trader works with is fresh."""
    ages = {host: age for host in traders if host in vitals
            if (age := vitals[host].metric("trader_heartbeat_age_seconds", loop="md")) is not None}  # fmt: skip

    def wrong() -> Iterator[str]:
        for host, age in ages.items():
            if age > MAX_STREAM_AGE_S:
                yield f"{host}: market data is {age:.1f} s old, at most {MAX_STREAM_AGE_S:g} s allowed"

    return _judge("stream", list(ages), traders, wrong(), f"{max(ages.values(), default=0) * 1000:.0f} ms old or less")


def guards(vitals: Mapping[str, Vitals], hosts: Iterable[str]) -> CheckResult:
    """Every guard looks after its host: its file is fresh, whatever it says of itself, and it has not given up."""
    told = {host: vitals[host].pages["guard"] for host in hosts if "guard" in vitals.get(host, Vitals(host)).pages}

    def wrong() -> Iterator[str]:
        for host, (age, text) in told.items():
            page = _document(text)
            if age > MAX_GUARD_AGE_S:
                yield f"{host}: health_v2.json is {age} s old, at most {MAX_GUARD_AGE_S} s allowed"
            elif page.get("stage") not in GUARDING:
                yield f"{host}: stage {page.get('stage', 'unreadable')}: {page.get('reason', text[:80])}"

    oldest = max((age for age, _ in told.values()), default=0)
    return _judge("guards", list(told), hosts, wrong(), f"{len(told)} on watch, {oldest} s old or less")


def _document(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _judge(check: str, answered: list[str], asked: Iterable[str], wrong: Iterator[str], held: str) -> CheckResult:
    """Something wrong: violated. Somebody silent, or nobody asked: unknown. Else held."""
    sources = {"hosts asked": len(answered)}
    first = next(wrong, "") if answered else ""
    if first:
        return CheckResult(check, Verdict.VIOLATED, first, sources=sources)
    silent = [host for host in asked if host not in answered]
    if silent or not answered:
        return CheckResult(check, Verdict.UNKNOWN, f"no answer from {', '.join(silent) or 'anybody'}", sources=sources)
    return CheckResult(check, Verdict.HELD, held, sources=sources)
