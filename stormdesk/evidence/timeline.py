"""The timeline of a run as inline SVG: fault band, phases, order rates, readiness. Pure: a Story in, markup out.

Rules:
1. The rates of accepted orders come from the venue's journal, those of refused orders from the trader's rows; without a
   cut both come from the traders' own counters.
2. A time that nobody observed is drawn as a gap, hatched, never as zero.
3. Colours are classes; the page's style sheet gives them, for light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from stormdesk.evidence.cut import Cut
from stormdesk.evidence.story import BEFORE_S, Story, in_words

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


def chart(story: Story) -> Chart:
    """Everything the picture needs, as numbers."""
    t0 = story.t0
    first = _first(story)
    held = story.cut.meta.hold.started if story.cut and story.cut.meta else story.ended_t
    last = max(min(held, story.ended_t) - t0, first + 1.0)
    bin_s = float(max(1, math.ceil((last - first) / MAX_BINS)))
    series, source = _series(story, first, last, bin_s)
    faults = [(h.host, h.injected_t - t0, (h.lifted_t or story.ended_t) - t0) for h in story.hosts if h.injected_t]
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


@dataclass(frozen=True)
class _Frame:
    """Where things are on the canvas, in px. The plot is between `left` and `right`, `top` and `bottom`."""

    width: int
    first: float
    last: float
    peak: float
    height: int = 292
    left: int = 44
    top: int = 52
    bottom: int = 212

    @property
    def right(self) -> int:
        return self.width - 14

    def x(self, t: float) -> float:
        share = (min(max(t, self.first), self.last) - self.first) / (self.last - self.first)
        return round(self.left + share * (self.right - self.left), 1)

    def y(self, rate: float) -> float:
        return round(self.bottom - rate / self.peak * (self.bottom - self.top), 1)


def draw(picture: Chart, width: int) -> Markup:
    """The SVG at a width in px; wide and narrow screens get one each, so that the letters keep their size."""
    peak = max([rate for series in picture.series for rate in series.rates if rate is not None], default=1.0)
    frame = _Frame(width, picture.first, picture.last, float(max(2, math.ceil(peak * 1.15))))
    parts = [
        *_fault_bands(frame, picture),
        *_phase_strip(frame, picture),
        *_axes(frame),
        *_gaps(frame, picture),
        *(part for series in picture.series for part in _line(frame, picture, series)),
        *_mark_lines(frame, picture),
        *_ready_strip(frame, picture),
    ]
    head = Markup(
        '<svg class="timeline w{w}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="Orders per second over time, with the fault as a band">'
        '<defs><pattern id="gap{w}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="6" class="hatch"/></pattern></defs>'
    ).format(w=frame.width, h=frame.height)
    return head + Markup("").join(parts) + Markup("</svg>")


def _rect(x1: float, y1: float, x2: float, y2: float, css: str, title: str) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"><title>{}</title></rect>').format(
        x1, y1, round(max(x2 - x1, 0), 1), round(y2 - y1, 1), css, title
    )


def _text(x: float, y: float, text: str, css: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(x, y, css, anchor, text)


def _fault_bands(frame: _Frame, picture: Chart) -> Iterable[Markup]:
    for hosts, start, end in _spans(picture.faults):
        x1, x2 = frame.x(start), frame.x(end)
        said = f"fault on {', '.join(hosts)}: {start:.1f} s to {end:.1f} s"
        yield _rect(x1, frame.top - 22, x2, frame.bottom, "fault", said)
        for x in (x1, x2):
            yield Markup('<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" class="fault-edge"/>').format(
                x, frame.top - 22, frame.bottom
            )
    if picture.faults:
        start, end = min(f[1] for f in picture.faults), max(f[2] for f in picture.faults)
        where = in_words(list(dict.fromkeys(f[0] for f in picture.faults)))
        label = f"fault on {where}" if frame.x(end) - frame.x(start) > 90 else "fault"
        yield _text((frame.x(start) + frame.x(end)) / 2, frame.top - 8, label, "fault-label")


def _spans(faults: Sequence[tuple[str, float, float]]) -> Iterable[tuple[Sequence[str], float, float]]:
    """(hosts, start, end) of each time in which a fault was in on any host: bands that overlap would hide what is behind."""
    spans: list[tuple[list[str], float, float]] = []
    for host, start, end in sorted(faults, key=lambda fault: fault[1:]):
        if spans and start <= spans[-1][2]:
            hosts, first, last = spans.pop()
            spans.append(([*hosts, host], first, max(last, end)))
        else:
            spans.append(([host], start, end))
    return spans


def _phase_strip(frame: _Frame, picture: Chart) -> Iterable[Markup]:
    for name, start, end in picture.phases:
        x1, x2 = frame.x(start), frame.x(end)
        yield _rect(x1, 4, x2, 22, f"phase {name}", f"{name}: {end - start:.1f} s")
        if x2 - x1 > 7 * len(name) + 6:
            yield _text((x1 + x2) / 2, 17, name, "phase-label")


def _axes(frame: _Frame) -> Iterable[Markup]:
    step = max(1, math.ceil(frame.peak / 4))
    for rate in range(0, int(frame.peak) + 1, step):
        y = frame.y(rate)
        yield Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(
            frame.left, y, frame.right, y, "grid" if rate else "axis"
        )
        yield _text(frame.left - 8, y + 4, str(rate), "tick", "end")
    yield _text(frame.left - 8, frame.top - 12, "/s", "tick", "end")
    every = _tick_s(frame.last - frame.first, (frame.right - frame.left) / 64)
    t = math.ceil(frame.first / every) * every
    while t <= frame.last:
        x = frame.x(t)
        yield Markup('<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" class="axis"/>').format(
            x, frame.bottom, frame.bottom + 4
        )
        yield _text(
            x, frame.bottom + 18, f"{t:+g} s" if t else "0", "tick", "end" if frame.right - x < 16 else "middle"
        )
        t += every


def _tick_s(span: float, ticks: float) -> int:
    return next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if span / s <= max(ticks, 2)), 3600)


def _gaps(frame: _Frame, picture: Chart) -> Iterable[Markup]:
    """Hatched where no series has a value."""
    for start, end in _stretches([all(s.rates[n] is None for s in picture.series) for n in range(_bins(picture))]):
        x1, x2 = (frame.x(picture.first + n * picture.bin_s) for n in (start, end))
        yield Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="url(#gap{})"><title>{}</title></rect>').format(
            x1, frame.top, round(x2 - x1, 1), frame.bottom - frame.top, frame.width, "not observed"
        )


def _bins(picture: Chart) -> int:
    return min((len(series.rates) for series in picture.series), default=0)


def _stretches(flags: Sequence[bool]) -> Iterable[tuple[int, int]]:
    """(first, one past last) of each run of True."""
    start: int | None = None
    for number, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = number
        elif not flag and start is not None:
            yield start, number
            start = None


def _line(frame: _Frame, picture: Chart, series: Series) -> Iterable[Markup]:
    """Steps, with the area below them; one path for each stretch that was observed."""
    for start, end in _stretches([rate is not None for rate in series.rates]):
        points = []
        for number in range(start, end):
            y = frame.y(series.rates[number] or 0.0)
            points += [f"{frame.x(picture.first + (number + side) * picture.bin_s)},{y}" for side in (0, 1)]
        x1, x2 = points[0].partition(",")[0], points[-1].partition(",")[0]
        area = f"M{x1},{frame.bottom} L{' L'.join(points)} L{x2},{frame.bottom} Z"
        yield Markup('<path d="{}" class="area {}"/>').format(area, series.css)
        yield Markup('<path d="M{}" class="line {}"><title>{}</title></path>').format(
            " L".join(points), series.css, f"{series.name} orders per second"
        )


def _mark_lines(frame: _Frame, picture: Chart) -> Iterable[Markup]:
    for name, t in picture.marks:
        x = frame.x(t)
        yield Markup('<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" class="mark"><title>{3}</title></line>').format(
            x, frame.top - 4, frame.bottom, f"{name} at {t:+.1f} s"
        )
        near_edge = frame.right - x < 90
        yield _text(x - 5 if near_edge else x + 5, frame.top + 8, name, "mark-label", "end" if near_edge else "start")


def _ready_strip(frame: _Frame, picture: Chart) -> Iterable[Markup]:
    """Was there exactly one leader, and was it ready?"""
    y = frame.bottom + 40
    yield _text(frame.left, y - 4, "leader ready", "tick", "start")
    yield _rect(frame.left, y, frame.right, y + 12, "strip", "not asked")
    for start, end, state in picture.ready:
        css = "strip-gap" if state == "gap" else state
        words = {"gap": "no answer", "ready": "one leader, ready", "not-ready": "no ready leader"}[state]
        if end > picture.first:
            yield _rect(frame.x(start), y, frame.x(end), y + 12, css, words)
    legend = [(series.css, series.name) for series in picture.series]
    x = float(frame.right)
    for css, name in reversed(legend):
        x -= 7.2 * len(name) + 26
        yield Markup('<rect x="{}" y="{}" width="12" height="3" class="key {}"/>').format(x, y + 26, css)
        yield _text(x + 17, y + 31, str(escape(name)), "tick", "start")
