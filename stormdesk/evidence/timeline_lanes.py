"""The lanes and metric lines below the plot of a timeline. Pure: data in, markup out.

Each lane says in words what its bands and signs are, so that neither colour nor a pointer is needed to read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from stormdesk.evidence.lanes import GLYPHS, Band, Lane, Line
from stormdesk.evidence.svg import Frame, rect, text, upright

START, ROW, LETTER = 304, 42, 6.1  # px: where the lanes begin, the height of one, the width of a letter on average
APART_S = 3.0  # samples further apart leave a gap in a line
MIN_PX = 3.0  # so that what was over at once is still seen


def height(lanes: Sequence[Lane], lines: Sequence[Line]) -> int:
    """The height of a picture with these below its plot, in px."""
    rows = len(lanes) + len(lines)
    return START + rows * ROW + 6 if rows else 292


def draw(frame: Frame, lanes: Sequence[Lane], lines: Sequence[Line]) -> Iterable[Markup]:
    """All lanes, then all lines, each in a row of its own."""
    y = START
    if lanes or lines:
        yield upright(frame.x(0.0), START - 4, height(lanes, lines) - 6, "zero", "the fault is in")
    for lane in lanes:
        yield from _lane(frame, lane, y)
        y += ROW
    for line in lines:
        yield from _line(frame, line, y)
        y += ROW


def _label(frame: Frame, y: float, name: str, words: str) -> Iterable[Markup]:
    room = int((frame.width - 12) / LETTER) - len(name) - 3
    shown = words if len(words) <= room else words[: max(0, room - 1)] + "…"
    yield Markup('<text x="4" y="{}" class="lane-name"><tspan class="lane-host">{}</tspan>  {}</text>').format(
        y + 11, name, shown
    )


def _lane(frame: Frame, lane: Lane, y: float) -> Iterable[Markup]:
    bands = [f"{band.text} {_span(band)}" for band in lane.bands]
    points = [f"{GLYPHS[point.kind]} {point.text}" for point in lane.points]
    yield from _label(frame, y, lane.name, " · ".join([*bands, *points]))
    yield rect(frame.left, y + 16, frame.right, y + 34, "lane", lane.name)
    faults = [band for band in lane.bands if band.css == "lane-fault"]
    for band in faults:
        x1, x2 = frame.x(band.first), _end(frame, band)
        yield rect(x1, y + 16, x2, y + 28, "lane-fault", f"{band.text} {_span(band)}")
        if x2 - x1 > LETTER * len(band.text) + 8:
            yield text((x1 + x2) / 2, y + 26, band.text, "lane-text")
    for band in lane.bands:
        if band.css == "lane-sign":
            yield Markup(
                '<rect x="{}" y="{}" width="{}" height="6" class="lane-sign" fill="url(#sign{})"><title>{}</title></rect>'
            ).format(
                frame.x(band.first),
                y + 28,
                round(_end(frame, band) - frame.x(band.first), 1),
                frame.width,
                f"{band.text} {_span(band)}",
            )
    for point in lane.points:
        glyph = Markup('<text x="{}" y="{}" class="glyph {}" text-anchor="middle">{}<title>{}</title></text>')
        yield glyph.format(frame.x(point.t), y + 31, point.kind, GLYPHS[point.kind], f"{point.t:+.1f} s {point.text}")


def _span(band: Band) -> str:
    return f"{band.first:+.1f} to {band.last:+.1f} s"


def _end(frame: Frame, band: Band) -> float:
    return max(frame.x(band.last), frame.x(band.first) + MIN_PX)


def _line(frame: Frame, line: Line, y: float) -> Iterable[Markup]:
    """A metric from 0 to its greatest value."""
    peak = max((value for _, value in line.points), default=0.0) or 1.0
    least = min((value for _, value in line.points), default=0.0)
    yield from _label(frame, y, line.name, f"from {least:.4g} to {peak:.4g}")
    yield rect(frame.left, y + 16, frame.right, y + 36, "lane", line.name)
    for stretch in _stretches(line.points):
        places = " L".join(f"{frame.x(t)},{round(y + 35 - max(value, 0.0) / peak * 18, 1)}" for t, value in stretch)
        yield Markup('<path d="M{}" class="line metric"><title>{}</title></path>').format(places, line.name)


def _stretches(points: Sequence[tuple[float, float]]) -> Iterable[list[tuple[float, float]]]:
    """The points without a gap between them; a line is not drawn through a time in which nobody looked."""
    apart = max(APART_S, 2 * (points[-1][0] - points[0][0]) / max(1, len(points))) if points else APART_S
    stretch: list[tuple[float, float]] = []
    for t, value in points:
        if stretch and t - stretch[-1][0] > apart:
            yield stretch
            stretch = []
        stretch.append((t, value))
    if stretch:
        yield stretch
