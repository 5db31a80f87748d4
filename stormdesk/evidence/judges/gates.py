"""I-07: a trader sends no order while a gate is closed. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.venue_lines import Accepted
from stormdesk.evidence.judges import ids
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, intents_of, order_sources, result

FOREVER = float("inf")
BREAKER, REPEATS = "breaker:", "repeats:"  # gates for one symbol, for one strategy
KILL_SWITCH, STOP, FLAGS = "execution/kill_switch_state.json", "STOP.TXT", "global_flags.json"


@dataclass(frozen=True)
class Shut:
    """A time in which a gate of a trader was shut. Instants in seconds since 1970, by that trader's clock."""

    host: str
    gate: str
    since: float
    until: float

    def stops(self, order: Accepted, t: float, grace_s: float) -> bool:
        """Was it shut for that order at `t`, and for so long that nothing could still be on its way?"""
        made = ids.parse(order.client_order_id)
        mine = {f"{BREAKER}{order.symbol}", f"{REPEATS}{made.strategy if made else ''}", f"{REPEATS}*"}
        concerns = not self.gate.startswith((BREAKER, REPEATS)) or self.gate in mine
        return concerns and self.since + grace_s < t < self.until


def i07(cut: Cut) -> CheckResult:
    """No order is accepted while the kill switch, STOP.TXT, read-only flags, a pause, a reconciliation or an open
    breaker shut its sender; what was on its way may arrive within the request timeout."""
    gates = shut(cut)
    accepted = cut.accepted()
    traders = cut.meta.traders if cut.meta else ()
    return result(
        "I-07",
        {"venue orders": len(accepted), "gates shut": len(gates)},
        unreadable=[*order_sources(cut), cut.state_files_problem],
        floors=(
            (len(accepted), MIN_ORDERS, "venue orders"),
            (sum(host in cut.state_files for host in traders), max(1, len(traders)), "traders' state files"),
            (len(gates), 1, "gates shut"),
        ),
        wrong=_through(cut, gates),
        doubts=[gap(cut)],
        held=f"{len(accepted)} venue orders, none through {len(gates)} shut gates",
    )


def shut(cut: Cut) -> list[Shut]:
    """All times in which a gate was shut: as the ledgers note them, and as the files say that stand at the end."""
    found = []
    for ledger in cut.ledgers:
        since: dict[str, float] = {}
        for line in ledger.lines.rows:
            if line.kind == "GATE" and line.on:
                since.setdefault(line.gate, line.t)
            elif line.kind == "GATE" and line.gate in since:
                found.append(Shut(ledger.host, line.gate, since.pop(line.gate), line.t))
        found += [Shut(ledger.host, gate, t, FOREVER) for gate, t in since.items()]
    return [*found, *_on_disk(cut)]


def _on_disk(cut: Cut) -> Iterator[Shut]:
    """Files that shut a trader, and have lain there since they were written: whatever its ledger says."""
    for host, files in sorted(cut.state_files.items()):
        for path, shuts in ((KILL_SWITCH, "active"), (FLAGS, "SIGNAL_READ_ONLY")):
            if path in files and _says(files[path].content, shuts):
                yield Shut(host, path, files[path].mtime, FOREVER)
        if STOP in files:
            yield Shut(host, STOP, files[STOP].mtime, FOREVER)


def _says(content: str, key: str) -> bool:
    """Is that key true in a JSON document? A document that cannot be read says yes: it must fail closed."""
    try:
        document = json.loads(content)
    except ValueError:
        return True
    return not isinstance(document, dict) or bool(document.get(key))


def _through(cut: Cut, gates: list[Shut]) -> Iterator[str]:
    assert cut.meta is not None
    intents = intents_of(cut)
    by_host = defaultdict(list)
    for gate in gates:
        by_host[gate.host].append(gate)
    for order in cut.accepted():
        for host, intent in intents.get(order.client_order_id, ()):
            t = order.t if cut.meta.one_clock else intent.t
            for gate in by_host[host]:
                if gate.stops(order, t, cut.meta.grace_s):
                    yield f"{order.client_order_id}: accepted {t - gate.since:.1f} s after {gate.gate} of {host} was shut"
