"""The data of the timeline of a run: fault band, phases, order rates, readiness. Pure: a Story in, a Chart out.

Rules:
1. The rates of accepted orders come from the venue's journal, those of refused orders from the trader's rows; without a
   cut both come from the traders' own counters.
2. A time that nobody observed is a gap, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from stormdesk.evidence.cut import Cut
from stormdesk.evidence.lanes import Lane, Line, lanes, lines
from stormdesk.evidence.story import BEFORE_S, Story

MAX_BINS = 240
SAMPLE_GAP_S = 3.0  # samples further apart than this leave a gap
Rate = float | None


@dataclass(frozen=True)
class Series:
    """Orders per second in bins of equal width; None where nobody observed."""

    name: str
    css: str
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Chart:
    """What is drawn. Instants are seconds relative to the injection."""

    first: float
    last: float
    bin_s: float
    series: tuple[Series, ...]
    source: str
    faults: tuple[tuple[str, float, float], ...]
    phases: tuple[tuple[str, float, float], ...]
    ready: tuple[tuple[float, float, str], ...]
    marks: tuple[tuple[str, float], ...]
    lanes: tuple[Lane, ...] = ()
    lines: tuple[Line, ...] = ()


def chart(story: Story) -> Chart:
    """Everything the picture needs, as numbers."""
    t0 = story.t0
    first = _first(story)
    held = story.cut.meta.hold.started if story.cut and story.cut.meta else story.ended_t
    last = max(min(held, story.ended_t) - t0, first + 1.0)
    bin_s = float(max(1, math.ceil((last - first) / MAX_BINS)))
    series, source = _series(story, first, last, bin_s)
    faults = [(h.label, h.injected_t - t0, (h.lifted_t or story.ended_t) - t0) for h in story.hosts if h.injected_t]
    return Chart(
        first=first,
        last=max(story.ended_t - t0, last),
        bin_s=bin_s,
        series=series,
        source=source,
        faults=tuple(faults),
        phases=tuple(_phases(story)),
        ready=tuple(_ready(story)),
        marks=tuple(_marks(story)),
        lanes=lanes(story, story.signs),
        lines=lines(story, first, last),
    )


def _series(story: Story, first: float, last: float, bin_s: float) -> tuple[tuple[Series, ...], str]:
    cut, t0, bins = story.cut, story.t0, int((last - first) / bin_s)
    if cut is not None and cut.venue.rows and cut.orders.rows:
        accepted = [order.t - t0 for order in cut.accepted()]
        refused = [t - t0 for t in _refused_here(cut)]
        began = cut.venue.rows[0].t - t0
        pairs = (("accepted", accepted), ("refused", refused))
        found = tuple(Series(n, n, tuple(_rates(instants, first, bins, bin_s, began))) for n, instants in pairs)
        return found, "accepted by the venue's journal, refused (never sent) by the trader's order rows"
    names = ("accepted", "refused")
    found = tuple(Series(n, n, tuple(_sampled(story, n, first, bins, bin_s))) for n in names)
    return found, "by the traders' own counters, for there is no cut"


def _refused_here(cut: Cut) -> Iterable[float]:
    """When orders were refused before anything was sent: rejected rows without an INTENT in any ledger."""
    meant = {line.client_order_id for ledger in cut.ledgers for line in ledger.lines.rows if line.kind == "INTENT"}
    return (r.created_t for r in cut.orders.rows if r.state == "REJECTED" and r.client_order_id not in meant)


def _rates(instants: Iterable[float], first: float, bins: int, bin_s: float, began: float) -> list[Rate]:
    counts = [0] * bins
    for t in instants:
        number = math.floor((t - first) / bin_s)
        if 0 <= number < bins:
            counts[number] += 1
    return [None if first + n * bin_s < began else count / bin_s for n, count in enumerate(counts)]


def _sampled(story: Story, name: str, first: float, bins: int, bin_s: float) -> list[Rate]:
    """The growth of a counter between samples, spread over the bins between them; gaps and restarts stay empty."""
    rates: list[Rate] = [None] * bins
    before: tuple[float, float] | None = None
    for sample in story.samples:
        metrics, t = sample.get("metrics"), float(sample["t"]) - story.t0
        now = (t, float(metrics[name])) if metrics and name in metrics else None
        if before and now and now[1] >= before[1] and now[0] - before[0] <= SAMPLE_GAP_S and now[0] > before[0]:
            share = (now[1] - before[1]) / (now[0] - before[0])
            for number in range(max(0, int((before[0] - first) / bin_s)), min(bins, int((now[0] - first) / bin_s) + 1)):
                start = first + number * bin_s
                overlap = min(now[0], start + bin_s) - max(before[0], start)
                rates[number] = (rates[number] or 0.0) + share * max(0.0, overlap) / bin_s
        before = now
    return rates


def _first(story: Story) -> float:
    """Where the picture begins, in seconds: before the run where the venue's journal tells of it, else with the run."""
    return -BEFORE_S if story.lifted_t and story.cut else story.started_t - story.t0


def _phases(story: Story) -> Iterable[tuple[str, float, float]]:
    t0 = story.t0
    lifted = story.lifted_t
    if lifted is None:
        return
    yield "steady", _first(story), 0.0
    yield "hold", 0.0, lifted - t0
    if story.recovered and story.recovered.get("took_s") is not None:
        end = float(story.recovered["from"]) + float(story.recovered["took_s"])
        yield "recover", lifted - t0, max(end, lifted) - t0
        yield "steady", max(end, lifted) - t0, story.ended_t - t0
    else:
        yield "recover", lifted - t0, story.ended_t - t0


def _ready(story: Story) -> Iterable[tuple[float, float, str]]:
    """Stretches of time: ready, not-ready, or gap when nobody answered or nobody asked."""
    merged: list[tuple[float, float, str]] = []
    for start, end, state in _between_samples(story):
        if merged and merged[-1][2] == state:
            merged[-1] = (merged[-1][0], end, state)
        else:
            merged.append((start, end, state))
    return merged


def _between_samples(story: Story) -> Iterable[tuple[float, float, str]]:
    instants = [(float(s["t"]) - story.t0, s.get("metrics")) for s in story.samples]
    for (t, metrics), (after, _) in pairwise([*instants, (story.ended_t - story.t0, None)]):
        if metrics is None:
            yield t, after, "gap"
            continue
        until = min(after, t + SAMPLE_GAP_S)
        yield t, until, "ready" if metrics.get("ready") and metrics.get("leaders") == 1 else "not-ready"
        if until < after:
            yield until, after, "gap"


def _marks(story: Story) -> Iterable[tuple[str, float]]:
    if story.lifted_t is not None and story.recovered.get("took_s") is not None:
        yield "recovered", float(story.recovered["from"]) + float(story.recovered["took_s"]) - story.t0


# ---- drawing ---------------------------------------------------------------------------------------------------------
