"""Faults of hosts and of the venue in seeded random order, one at a time, on a trading stack."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from stormdesk.checks.run import run_checks
from stormdesk.cli.api import Chaos
from stormdesk.core.errors import ExitCode, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult
from stormdesk.core.plan import Plan
from stormdesk.core.safety import Allow
from stormdesk.desk import operators
from stormdesk.evidence.cut.lines import Before, Processes, Recovery
from stormdesk.evidence.take_cut import RunFacts
from stormdesk.faults import FAULTS

Parameters = Mapping[str, str]
HOST_FAULTS: tuple[tuple[str, str, Parameters], ...] = (
    ("disk-full", "trader-a", {}),
    ("disk-full", "trader-b", {}),
    ("disk-full", "store", {}),
    ("adapter-down", "venue", {"network": "market"}),
    ("adapter-down", "feed", {"network": "market"}),
    ("adapter-down", "trader-a", {"network": "market"}),
    ("adapter-down", "trader-a", {"network": "core"}),
    ("adapter-down", "store", {"network": "core"}),
    ("process-kill", "feed", {"service": "feeder"}),
    ("process-kill", "trader-a", {"service": "trader", "rto": "60s"}),
    ("process-kill", "venue", {"service": "venue"}),
    ("process-kill", "bus", {"service": "kafka", "rto": "60s"}),
    ("adapter-down", "bus", {"network": "core"}),
    ("power-cut", "trader-a", {}),  # not the bus: Redis and Kafka do not sync what they acknowledge
)
RTO_S = 90.0


@dataclass(frozen=True)
class Survived:
    """A fault of the venue that the stack bears: where it is from, its parameters, how often it strikes in a test."""

    scenario: str
    name: str
    often: int
    params: Parameters = field(default_factory=dict)


IMPORTANT = (
    Survived("E_08", "drop-response", 3, {"share": "40"}),
    Survived("SN_04", "error-5xx", 10, {"share": "30"}),
    Survived("K_04", "rate-limit", 3, {"share": "10", "retry_after": "2s"}),
    Survived("S2_03", "duplicate-report", 10, {"share": "60"}),
    Survived("S3_03", "skip-depth", 5, {"share": "20"}),
    Survived("E_12", "freeze", 40),
    Survived("E_10", "token-expiry", 2, {"every": "2s"}),
)
SURVIVED = (
    *IMPORTANT,
    Survived("E_12-errors", "freeze", 40, {"rest": "500"}),
    Survived("SN_06", "partial-response", 5, {"share": "30"}),
    Survived("N_05", "delay", 10, {"by": "700ms", "share": "50"}),
    Survived("E_15", "ban", 1, {"retry_after": "2s"}),
    Survived("S2_01", "partial-fill", 5, {"share": "80"}),
    Survived("S2_05", "duplicate-confirmation", 3, {"share": "50"}),
    Survived("SN_05", "stale-data", 30),
    Survived("S2_09", "stale-positions", 1),
    Survived("E_09", "query-lag", 1, {"by": "3s"}),
    Survived("E_18", "bad-quotes", 5, {"share": "30"}),
    Survived("E_16-ahead", "clock-offset", 30, {"by": "10s"}),
    Survived("E_16-behind", "clock-offset", 30, {"by": "-10s"}),
    Survived("E_13", "cancel-only", 3),
    Survived("E_10-key", "listen-key-expiry", 1),
    Survived("K_02", "refuse-streams", 3),
    Survived("1101", "persona", 1, {"restored": "data-lost"}),
    Survived("1102", "persona", 1, {"restored": "data-kept"}),
    Survived("S2_02", "external-order", 1),
    Survived("E_14", "rollback", 1, {"last": "5s"}),
)


@dataclass
class Tally:
    """What a storm did: faults witnessed by kind, what did not go as it should."""

    witnessed: Counter[str] = field(default_factory=Counter)
    restarts: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)  # claimed: at least, at most
    slowest_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    def claim(self, plan: Plan) -> None:
        """Note which services a fault makes restart, and how often."""
        services = self.restarts.setdefault(plan.id.host, {})
        for service, least, most in plan.effects.restarts:
            before = services.get(service, (0, 0))
            services[service] = (before[0] + least, before[1] + most)

    def count(self, *, venue: bool) -> int:
        return sum(times for name, times in self.witnessed.items() if name.startswith("venue.") is venue)

    def lines(self) -> Iterator[str]:
        yield from (f"{times:3d} x {name}" for name, times in sorted(self.witnessed.items()))
        yield f"{self.count(venue=False)} host and {self.count(venue=True)} venue faults witnessed"
        yield f"slowest recovery {self.slowest_s:.1f} s"


def examples(inventory: Inventory) -> list[tuple[str, str, Parameters]]:
    """What every fault that the lists above do not name gives as its examples, the first on each host."""
    known = {name for name, _, _ in HOST_FAULTS}
    found = {
        (name, each.host): each.parameters
        for name, kind in FAULTS.items()
        if name not in known
        for each in reversed(kind.example(inventory))
        if not each.cuts
    }
    return [(name, host, parameters) for (name, host), parameters in sorted(found.items())]


def deck(random: Random, inventory: Inventory, hosts: int, venue: int) -> list[tuple[str, str, Parameters]]:
    """That many faults of each sort in random order; none comes twice before each of its sort has come once, and of those of hosts no
    kind comes twice before each kind has come once."""
    ours = [fault for fault in (*HOST_FAULTS, *examples(inventory)) if fault[1] in inventory.hosts]
    drawn: list[tuple[str, str, Parameters]] = []
    while len(drawn) < hosts:
        order = random.sample(ours, len(ours))
        first = {fault[0]: fault for fault in reversed(order)}
        drawn += [*first.values(), *(fault for fault in order if first[fault[0]] is not fault)]
    del drawn[hosts:]
    drawn += [(f"venue.{one.name}", "venue", one.params) for one in _draws(random, list(SURVIVED), venue)]
    random.shuffle(drawn)
    return drawn


def _draws(random: Random, kinds: list[Any], count: int) -> list[Any]:
    drawn: list[Any] = []
    while len(drawn) < count:
        drawn += random.sample(kinds, len(kinds))
    return drawn[:count]


def rage(chaos: Chaos, random: Random, faults: list[tuple[str, str, Parameters]], say: Callable[[str], None]) -> Tally:
    """One fault after the other, each held for some seconds; the next comes when the stack trades again."""
    tally = Tally()
    for number, (name, host, parameters) in enumerate(faults, 1):
        hold_s, seed = round(random.uniform(2, 5), 1), random.randrange(2**32)
        more = {**parameters, "seed": str(seed)} if name.startswith("venue.") else dict(parameters)
        what = f"{number}/{len(faults)} {name} on {host} for {hold_s:g}s {more}"
        prepare(chaos, name)
        began = time.monotonic()
        try:
            with chaos.inject(name, host=host, hold_s=hold_s, allow=Allow(irreversible=True), **more) as injected:
                for plan in injected.plans:
                    tally.claim(plan)
            assert all(injected.evidence.values()), f"no witness: {injected.evidence}"
            tally.witnessed[name] += 1
            attend(chaos, name)
            took_s = chaos.recovered(budget_s=RTO_S)
            tally.slowest_s = max(tally.slowest_s, took_s)
            say(f"{what}: {'; '.join(injected.evidence.values())}; trading {took_s:.1f} s after it was over")
        except (StormdeskError, AssertionError) as error:
            tally.problems.append(f"{what}: {type(error).__name__}: {error}")
            say(f"{what}: NOT AS IT SHOULD BE after {time.monotonic() - began:.1f} s: {error}")
    return tally


def judge(chaos: Chaos, tally: Tally, before: Processes, folder: Path) -> list[CheckResult]:
    """All invariants over the whole storm: I-09 of its slowest recovery, I-10 of all restarts that its faults claim."""
    facts = RunFacts(
        recovery=Recovery(start=0.0, recovered_at=tally.slowest_s, rto_s=RTO_S),
        before=Before(processes=before, restarts=tally.restarts),
    )
    return run_checks(chaos.inventory, chaos.pool.run, ("invariants", "residue"), folder, facts=facts)


def prepare(chaos: Chaos, name: str) -> None:
    """A listen key must be there to expire: one is opened as any legacy client does it."""
    if name == "venue.listen-key-expiry":
        config = json.loads(chaos.pool.run("trader-a", ("cat", "/etc/trading/trader.json"), 10).stdout)
        header, url = f"X-MBX-APIKEY: {config['api_key']}", f"{config['venue_rest']}/api/v3/userDataStream"
        done = chaos.pool.run("trader-a", ("curl", "-sS", "-f", "-m", "5", "-X", "POST", "-H", header, url), 10)
        assert done.ok, done.stderr


def attend(chaos: Chaos, name: str) -> None:
    """What a person does after the two faults that change the books: have them reconciled, and accept a rollback by name."""
    if name not in ("venue.rollback", "venue.external-order"):
        return
    accept, by = ("rollback", "operator") if name == "venue.rollback" else ("", "")
    until = time.monotonic() + RTO_S
    while (report := operators.reconcile(chaos.pool, accept, by)).exit_code is not ExitCode.HELD:
        assert time.monotonic() < until, f"not reconciled within {RTO_S:g} s: {report.lines}"
        time.sleep(1)


def accepted(chaos: Chaos) -> int:
    """Orders of the desk that the venue has accepted since its first start, from its journal."""
    script = 'curl -sS http://10.77.0.11:8081/journal?since=0 | grep -c \'"kind":"ACCEPTED"\''
    return int(chaos.pool.run("venue", ("sh", "-c", script), 20).stdout or 0)
