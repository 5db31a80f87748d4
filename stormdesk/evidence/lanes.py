"""The lanes of the timeline: one for each host, one for checks, one for people; and the lines of metrics. Pure: a Story in, data out.

All instants are seconds relative to the injection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from stormdesk.evidence import signs
from stormdesk.evidence.signs import Sign
from stormdesk.evidence.story import Check, Story

MOST_HOSTS, MOST_LINES, CELLS = 12, 6, 240
GLYPHS = {"held": "✓", "violated": "✗", "unknown": "?", "alert": "▲", "note": "◆", "act": "▶"}
DRAWN = ("accepted", "refused", "ready", "leaders")  # metrics that the picture above the lanes has


@dataclass(frozen=True)
class Band:
    """A stretch of time: a `fault` that was in, or a `sign` of the stack that something was wrong."""

    first: float
    last: float
    css: str
    text: str


@dataclass(frozen=True)
class Point:
    """One instant. `kind` is a key of GLYPHS."""

    t: float
    kind: str
    text: str


@dataclass(frozen=True)
class Lane:
    """One line of the picture."""

    name: str
    bands: tuple[Band, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Line:
    """A metric over time: (instant, value); between two that are far apart nobody looked."""

    name: str
    points: tuple[tuple[float, float], ...]


def lanes(story: Story, said: Sequence[Sign]) -> tuple[Lane, ...]:
    """Hosts in the order in which something happened to them; what is more than MOST_HOSTS is one lane together."""
    faults: dict[str, list[Band]] = {}
    kinds = {str(op["id"]): str(op.get("fault", "")) for op in story.start.get("ops", ())}
    for host in story.hosts:
        if host.injected_t is not None:
            end = (host.lifted_t or story.ended_t) - story.t0
            name = f"{host.op}: {kinds.get(host.op, '')}" if host.op else story.fault
            faults.setdefault(host.host, []).append(Band(host.injected_t - story.t0, end, "lane-fault", name))
    found: dict[str, list[Band]] = {}
    alerts: dict[str, list[Point]] = {}
    for sign in said:
        first, last = sign.first_t - story.t0, sign.last_t - story.t0
        if sign.kind == signs.ALERT:
            alerts.setdefault(sign.host, []).append(Point(first, "alert", sign.text))
        else:
            text = f"{sign.text} failing" if sign.kind == signs.FAILING and sign.text != "not ready" else sign.text
            found.setdefault(sign.host, []).append(Band(first, last, "lane-sign", text))
    names = list(dict.fromkeys([*faults, *found, *alerts]))
    shown = names if len(names) <= MOST_HOSTS else names[: MOST_HOSTS - 1]
    of = [Lane(n, (*faults.get(n, ()), *found.get(n, ())), tuple(alerts.get(n, ()))) for n in shown]
    if rest := names[len(shown) :]:
        bands = [band for name in rest for band in (*faults.get(name, ()), *found.get(name, ()))]
        of.append(
            Lane(f"{len(rest)} more hosts", tuple(bands), tuple(p for name in rest for p in alerts.get(name, ())))
        )
    asides = (Lane("checks", (), tuple(_checks(story))), Lane("people and notes", (), tuple(_people(story))))
    return (*of, *(lane for lane in asides if lane.points))


def _checks(story: Story) -> Iterable[Point]:
    for t, name, checks in story.judged:
        for verdict in ("held", "violated", "unknown"):
            some = [check for check in checks if check.verdict == verdict]
            if some:
                yield Point(t - story.t0, verdict, f"{name}: {_told(some, len(checks))}")


def _told(some: Sequence[Check], total: int) -> str:
    if some[0].verdict == "held":
        return f"{len(some)} of {total} held"
    return f"{len(some)} of {total} {some[0].verdict} ({', '.join(check.id.removeprefix('expect: ') for check in some[:3])})"


def _people(story: Story) -> Iterable[Point]:
    points = [
        Point(float(note["t"]) - story.t0, "note", f"{note.get('who', '')}: {note.get('text', '')}")
        for note in story.notes
    ]
    points += [Point(float(act["t"]) - story.t0, "act", str(act.get("task", ""))) for act in story.acts]
    yield from sorted(points, key=lambda point: point.t)


def lines(story: Story, first: float, last: float) -> tuple[Line, ...]:
    """The metrics of the samples that are drawn nowhere else and are not 0 all the time, and the lag of market data."""
    values: dict[str, list[tuple[float, float]]] = {}
    for sample in story.samples:
        t = float(sample["t"]) - story.t0
        for name, value in _metrics(sample):
            values.setdefault(name, []).append((t, value))
    moved = {name: points for name, points in values.items() if any(value for _, value in points)}
    chosen = sorted(moved, key=lambda name: (_only_grows(moved[name]), name))[:MOST_LINES]
    return tuple(Line(name, _thinned(moved[name], first, last)) for name in chosen)


def _only_grows(points: Sequence[tuple[float, float]]) -> bool:
    """Is this a counter? It says less in a picture than what rises and falls."""
    return all(before <= after for (_, before), (_, after) in pairwise(points))


def _metrics(sample: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name, value in (sample.get("metrics") or {}).items():
        if name not in DRAWN and isinstance(value, int | float):
            yield name, float(value)
    if ages := list(signs.lags(sample)):
        yield "lag of market data, s", max(ages)


def _thinned(points: Sequence[tuple[float, float]], first: float, last: float) -> tuple[tuple[float, float], ...]:
    """At most one point for each cell of the picture: the greatest value, so that no peak is lost."""
    cells: dict[int, tuple[float, float]] = {}
    for t, value in points:
        cell = int((t - first) / max(last - first, 1e-9) * CELLS)
        if cell not in cells or cells[cell][1] < value:
            cells[cell] = (t, value)
    return tuple(sorted(cells.values()))


def in_words(parts: Iterable[Lane], most: int) -> tuple[list[tuple[str, str, str]], int]:
    """The same as text: (when, where, what) by time, at most so many; and how many are left out."""
    rows: list[tuple[float, str, str, str]] = []
    for lane in parts:
        rows += [(b.first, f"{b.first:+.1f} s to {b.last:+.1f} s", lane.name, b.text) for b in lane.bands]
        rows += [(p.t, f"{p.t:+.1f} s", lane.name, f"{GLYPHS[p.kind]} {p.text}") for p in lane.points]
    rows.sort(key=lambda row: row[0])
    return [row[1:] for row in rows[:most]], max(0, len(rows) - most)
