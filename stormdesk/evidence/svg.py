"""The parts that a picture is drawn with: its frame, rectangles, texts. Pure: numbers in, markup out.

Colours are classes; the page's style sheet gives them, for light, dark and print.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Frame:
    """Where things are on the canvas, in px. The plot is between `left` and `right`, `top` and `bottom`; lanes are below it."""

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


def rect(x1: float, y1: float, x2: float, y2: float, css: str, title: str) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"><title>{}</title></rect>').format(
        x1, y1, round(max(x2 - x1, 0), 1), round(y2 - y1, 1), css, title
    )


def text(x: float, y: float, words: str, css: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(x, y, css, anchor, words)


def upright(x: float, y1: float, y2: float, css: str, title: str = "") -> Markup:
    """A vertical line."""
    return Markup('<line x1="{0}" y1="{1}" x2="{0}" y2="{2}" class="{3}"><title>{4}</title></line>').format(
        x, y1, y2, css, title
    )
