"""The timeline of a run as inline SVG. Pure: a Chart in, markup out.

A gap is drawn hatched. Colours are classes; the page's style sheet gives them, for light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from stormdesk.evidence import timeline_lanes
from stormdesk.evidence.chart import Chart, Series
from stormdesk.evidence.sentence import in_words
from stormdesk.evidence.svg import Frame, rect, text, upright


def draw(picture: Chart, width: int) -> Markup:
    """The SVG at a width in px; wide and narrow screens get one each, so that the letters keep their size."""
    peak = max([rate for series in picture.series for rate in series.rates if rate is not None], default=1.0)
    tall = timeline_lanes.height(picture.lanes, picture.lines)
    frame = Frame(width, picture.first, picture.last, float(max(2, math.ceil(peak * 1.15))), tall)
    parts = [
        *_fault_bands(frame, picture),
        *_phase_strip(frame, picture),
        *_axes(frame),
        *_gaps(frame, picture),
        *(part for series in picture.series for part in _line(frame, picture, series)),
        *_mark_lines(frame, picture),
        *_ready_strip(frame, picture),
        *timeline_lanes.draw(frame, picture.lanes, picture.lines),
    ]
    head = Markup(
        '<svg class="timeline w{w}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="Orders per second over time, with the fault as a band, and a lane for each host. The same in words is below.">'
        '<defs><pattern id="gap{w}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="6" class="hatch"/></pattern>'
        '<pattern id="sign{w}" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
        '<line x1="0" y1="0" x2="0" y2="4" class="sign-hatch"/></pattern></defs>'
    ).format(w=frame.width, h=frame.height)
    return head + Markup("").join(parts) + Markup("</svg>")


def _fault_bands(frame: Frame, picture: Chart) -> Iterable[Markup]:
    for hosts, start, end in _spans(picture.faults):
        x1, x2 = frame.x(start), frame.x(end)
        said = f"fault on {', '.join(hosts)}: {start:.1f} s to {end:.1f} s"
        yield rect(x1, frame.top - 22, x2, frame.bottom, "fault", said)
        for x in (x1, x2):
            yield upright(x, frame.top - 22, frame.bottom, "fault-edge", said)
    if picture.faults:
        start, end = min(f[1] for f in picture.faults), max(f[2] for f in picture.faults)
        where = in_words(list(dict.fromkeys(f[0] for f in picture.faults)))
        label = f"fault on {where}" if frame.x(end) - frame.x(start) > 90 else "fault"
        yield text((frame.x(start) + frame.x(end)) / 2, frame.top - 8, label, "fault-label")


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


def _phase_strip(frame: Frame, picture: Chart) -> Iterable[Markup]:
    for name, start, end in picture.phases:
        x1, x2 = frame.x(start), frame.x(end)
        yield rect(x1, 4, x2, 22, f"phase {name}", f"{name}: {end - start:.1f} s")
        if x2 - x1 > 7 * len(name) + 6:
            yield text((x1 + x2) / 2, 17, name, "phase-label")


def _axes(frame: Frame) -> Iterable[Markup]:
    step = max(1, math.ceil(frame.peak / 4))
    for rate in range(0, int(frame.peak) + 1, step):
        y = frame.y(rate)
        yield Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(
            frame.left, y, frame.right, y, "grid" if rate else "axis"
        )
        yield text(frame.left - 8, y + 4, str(rate), "tick", "end")
    yield text(frame.left - 8, frame.top - 12, "/s", "tick", "end")
    every = _tick_s(frame.last - frame.first, (frame.right - frame.left) / 64)
    t = math.ceil(frame.first / every) * every
    while t <= frame.last:
        x = frame.x(t)
        yield Markup('<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" class="axis"/>').format(
            x, frame.bottom, frame.bottom + 4
        )
        yield text(x, frame.bottom + 18, f"{t:+g} s" if t else "0", "tick", "end" if frame.right - x < 16 else "middle")
        t += every


def _tick_s(span: float, ticks: float) -> int:
    return next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if span / s <= max(ticks, 2)), 3600)


def _gaps(frame: Frame, picture: Chart) -> Iterable[Markup]:
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


def _line(frame: Frame, picture: Chart, series: Series) -> Iterable[Markup]:
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


def _mark_lines(frame: Frame, picture: Chart) -> Iterable[Markup]:
    for name, t in picture.marks:
        x = frame.x(t)
        yield Markup('<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" class="mark"><title>{3}</title></line>').format(
            x, frame.top - 4, frame.bottom, f"{name} at {t:+.1f} s"
        )
        near_edge = frame.right - x < 90
        yield text(x - 5 if near_edge else x + 5, frame.top + 8, name, "mark-label", "end" if near_edge else "start")


def _ready_strip(frame: Frame, picture: Chart) -> Iterable[Markup]:
    """Was there exactly one leader, and was it ready? Where not, the strip is thin: no colour is needed to see it."""
    y = frame.bottom + 40
    yield text(frame.left, y - 4, "a leader is ready; thin: none, or no answer", "tick", "start")
    yield rect(frame.left, y, frame.right, y + 12, "strip", "not asked")
    for start, end, state in picture.ready:
        css = "strip-gap" if state == "gap" else state
        words = {"gap": "no answer", "ready": "one leader, ready", "not-ready": "no ready leader"}[state]
        if end > picture.first:
            yield rect(frame.x(start), y if state == "ready" else y + 7, frame.x(end), y + 12, css, words)
    legend = [(series.css, series.name) for series in picture.series]
    x = float(frame.right)
    for css, name in reversed(legend):
        x -= 7.2 * len(name) + 26
        yield Markup('<rect x="{}" y="{}" width="12" height="3" class="key {}"/>').format(x, y + 26, css)
        yield text(x + 17, y + 31, str(escape(name)), "tick", "start")
