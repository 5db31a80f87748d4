"""What situations are looked for in: a run's events and its cut, with what several of them ask. Pure.

A cut has all that ever happened in its environment: only what happened since the run began counts, and before its cut held the desk.
Instants are seconds since 1970. Those of the venue and of ledgers are compared as they are: on hosts with clocks of their own, a
situation that is shorter than their difference may be missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from stormdesk.core.journal import Event
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import EpochRow, LedgerLine, Received
from stormdesk.evidence.cut.venue_lines import OTHERS, Accepted, Ended, Request, Trade
from stormdesk.evidence.judges.gates import Shut, shut

FOREVER = float("inf")
ANSWERS = ("ACK", "REJECT", "UNKNOWN")  # what ends an order's flight, as its ledger has it
Sample = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """A fault that was in: of what name, on which host, from when to when."""

    name: str
    host: str
    since: float
    until: float

    def has(self, t: float) -> bool:
        return self.since <= t < self.until


@dataclass(frozen=True)
class Life:
    """One order of the desk: its lines in the ledger of `host`, and what the venue did with it."""

    id: str
    host: str
    lines: tuple[LedgerLine, ...]
    request: Request | None
    accepted: Accepted | None
    trades: tuple[Trade, ...]
    ended: Ended | None

    def t(self, kind: str) -> float | None:
        """When the first line of a kind was written."""
        return next((line.t for line in self.lines if line.kind == kind), None)

    @property
    def last_t(self) -> float:
        """When something last happened to it."""
        places = (*self.lines, self.request, self.accepted, *self.trades, self.ended)
        return max(place.t for place in places if place is not None)

    @property
    def flight(self) -> tuple[float, float] | None:
        """From its INTENT to what was heard of it."""
        start = self.t("INTENT")
        return None if start is None else (start, min((line.t for line in self.lines if line.kind in ANSWERS), default=FOREVER))

    @property
    def unknown(self) -> tuple[float, float] | None:
        """While nobody knew whether it was accepted."""
        start = self.t("UNKNOWN")
        if start is None:
            return None
        return start, min((line.t for line in self.lines if line.kind in ("RESOLVED", "REJECT") and line.t >= start), default=FOREVER)

    @property
    def resting(self) -> tuple[float, float] | None:
        """While it was open at the venue, as its journal has it."""
        if self.accepted is None:
            return None
        last = self.ended.t if self.ended else FOREVER if _open(self) else max(t.t for t in self.trades)
        return self.accepted.t, last


@dataclass(frozen=True)
class Facts:
    """A run. `cut` is None where none was taken."""

    events: Sequence[Event]
    cut: Cut | None

    @cached_property
    def since(self) -> float:
        """When the run began."""
        return next((float(event["t"]) for event in self.events if event["event"] == "run.started"), 0.0)

    @cached_property
    def until(self) -> float:
        """When the cut began to hold the desk: it cancels what rests, and refuses what comes."""
        return self.cut.meta.hold.started if self.cut and self.cut.meta else FOREVER

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        """The desk's orders, by their first line or request."""
        if self.cut is None:
            return ()
        lines: dict[str, list[LedgerLine]] = defaultdict(list)
        hosts: dict[str, str] = {}
        for ledger in self.cut.ledgers:
            for line in ledger.lines.rows:
                if line.client_order_id and not (line.kind == "CANCEL" and line.t > self.until):
                    lines[line.client_order_id].append(line)
                    hosts.setdefault(line.client_order_id, ledger.host)
        rows = self.cut.venue.rows
        requests = {r.client_order_id: r for r in reversed(rows) if isinstance(r, Request) and r.method == "POST"}
        accepted = {a.client_order_id: a for a in self.cut.accepted()}
        ended = {e.client_order_id: e for e in rows if isinstance(e, Ended) and e.account not in OTHERS and e.t <= self.until}
        trades: dict[str, list[Trade]] = defaultdict(list)
        for trade in self.cut.made():
            trades[trade.client_order_id].append(trade)
        mine = dict.fromkeys((*lines, *(n for n, r in requests.items() if r.account not in OTHERS), *accepted))
        lives = (
            Life(n, hosts.get(n, ""), tuple(lines[n]), requests.get(n), accepted.get(n), tuple(trades[n]), ended.get(n)) for n in mine
        )
        return tuple(life for life in lives if life.last_t >= self.since)

    def of(self, kind: type[Any]) -> list[Any]:
        """The venue's lines of a kind."""
        return [line for line in self.cut.venue.rows if isinstance(line, kind) and self.since <= line.t <= self.until] if self.cut else []

    def ledger(self, kind: str) -> Iterator[tuple[str, LedgerLine]]:
        """All ledgers' lines of a kind, with their hosts."""
        for ledger in self.cut.ledgers if self.cut else ():
            yield from ((ledger.host, line) for line in ledger.lines.rows if line.kind == kind and self.since <= line.t <= self.until)

    @cached_property
    def gates(self) -> list[Shut]:
        """All times in which a gate of a trader was shut."""
        return [gate for gate in shut(self.cut) if gate.until >= self.since] if self.cut else []

    @cached_property
    def takeovers(self) -> list[EpochRow]:
        """The grants of the lead to another trader than before."""
        rows = sorted(self.cut.epochs.rows, key=lambda row: row.epoch) if self.cut else []
        return [later for earlier, later in pairwise(rows) if earlier.instance != later.instance and later.granted_t >= self.since]

    @cached_property
    def received(self) -> list[tuple[str, Received]]:
        """What the feeder has received, with its symbol."""
        received = self.cut.received if self.cut else {}
        return [(symbol, line) for symbol, lines in received.items() for line in lines if line.t >= self.since]

    @cached_property
    def faults(self) -> tuple[Window, ...]:
        """The faults of this run."""
        start: Event = next((event for event in self.events if event["event"] == "run.started"), {})
        names = {op["id"]: op["fault"] for op in start.get("ops", ()) if "fault" in op}
        found = []
        for event in self.events:
            if event["event"] == "S4.injected":
                mine = (event.get("host"), event.get("op", ""))
                over = [e for e in self.events if e["event"] == "S8.verified" and (e.get("host"), e.get("op", "")) == mine]
                until = float(over[-1].get("lifted_t") or over[-1]["t"]) if over else FOREVER
                since = float(event.get("injected_t") or event["t"])
                found.append(Window(str(names.get(mine[1], start.get("fault", ""))), str(mine[0]), since, until))
        return tuple(found)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        return tuple(event for event in self.events if event["event"] == "sample")

    @cached_property
    def traders(self) -> frozenset[str]:
        """The hosts that ever said whether they lead."""
        return frozenset(host for sample in self.samples for host in self.told(sample))

    def told(self, sample: Sample) -> frozenset[str]:
        """The hosts that said in this sample whether they lead."""
        return frozenset(str(host) for host, said in (sample.get("health") or {}).items() if "leader" in said)

    def during(self, t: float) -> Window | None:
        """A fault that was in at `t`."""
        return next((window for window in self.faults if window.has(t)), None)

    def documents(self, service: str = "") -> Iterator[tuple[float, str, Mapping[str, Any]]]:
        """(instant, host, document) of what services said: a trader's own, else that under the service's name."""
        for sample in self.samples:
            for host, said in (sample.get("health") or {}).items():
                found = said.get(service) if service else said
                if isinstance(found, Mapping):
                    yield float(sample["t"]), str(host), found


def values(samples: Sequence[Sample], name: str) -> list[tuple[float, float]]:
    """(instant, value) of a metric in the samples that have it."""
    found = [(float(s["t"]), (s.get("metrics") or {}).get(name)) for s in samples]
    return [(t, float(value)) for t, value in found if value is not None]


def first(found: Iterator[str]) -> str:
    """The first piece of evidence; "" for none."""
    return next(found, "")


def at_faults(facts: Facts, edge: str, span: Callable[[Life], tuple[float, float] | None]) -> str:
    """An order whose span covers that edge, `since` or `until`, of a fault."""
    return first(
        f"{life.id}: {window.name} on {window.host}"
        for window in facts.faults
        for life in facts.lives
        if (times := span(life)) and times[0] < getattr(window, edge) < times[1]
    )


def _open(life: Life) -> bool:
    """Has it quantity that was never traded? Amounts that are no numbers count as open."""
    try:
        return sum(float(trade.qty) for trade in life.trades) < float(life.accepted.qty if life.accepted else 0)
    except ValueError:
        return True
