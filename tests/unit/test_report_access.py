"""The report can be read by everybody: contrasts in light and dark, headings, links, and words beside every colour."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from stormdesk.evidence import lanes, report
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.page_style import STYLE
from tests.unit.test_report import Events, cut, events, plans, violated

__all__ = ["cut", "events", "plans"]  # fixtures
LEAST = 4.5  # WCAG 2.2 AA, for text of any size
ON = {  # text colours by the surfaces that they are on
    "ink": ("paper", "card", "code", "hold"),
    "soft": ("paper", "card", "code"),
    "faint": ("paper", "card"),
    "held": ("card",),
    "violated": ("card",),
    "unknown": ("card",),
    "on-phase": ("hold", "steady", "recover"),
}


def colours(scheme: str) -> dict[str, str]:
    """The variables of the style sheet in a colour scheme."""
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.S)[:2]
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", light + (dark if scheme == "dark" else "")))


def luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_is_the_one_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "surface"), [(text, surface) for text, surfaces in ON.items() for surface in surfaces]
)
def test_text_has_contrast(scheme: str, text: str, surface: str) -> None:
    known = colours(scheme)
    assert contrast(known[text], known[surface]) >= LEAST


class Outline(HTMLParser):
    """Headings, ids, links, what can be focused, and the column headers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.bare: list[str] = []
        self.focused: list[str] = []
        self.labelled: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        given = {name: value or "" for name, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        self.labelled += [given["aria-labelledby"]] if "aria-labelledby" in given else []
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if tag == "a":
            self.links.append(given["href"])
            self.focused.append(given.get("class", ""))
        if (tag == "th" and given.get("scope") not in ("col", "row")) or (tag == "svg" and not given.get("aria-label")):
            self.bare.append(tag)


@pytest.mark.parametrize("end", [1, 20, 10_000])
def test_the_page_can_be_walked_through(events: Events, cut: Cut, plans: list[dict[str, Any]], end: int) -> None:
    violated(events)
    page = Outline(report.html(events[:end], cut if end > 1000 else None, plans, ["events.jsonl"]))
    assert page.levels[0] == 1
    assert page.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.levels, page.levels[1:], strict=False))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert set(page.labelled) <= set(page.ids)
    assert page.focused[0] == "skip"
    assert page.links[0] == "#main"
    assert page.bare == []


def test_every_verdict_has_a_sign_beside_its_word(events: Events, cut: Cut, plans: list[dict[str, Any]]) -> None:
    violated(events)
    text = report.html(events, cut, plans)
    assert not re.search(r">\s*(held|violated|unknown)\s*</td>", text)
    for verdict in ("held", "violated"):
        said = re.findall(rf'<span class="chip {verdict}">([^<]*)</span>', text)
        assert said
        assert all(words.split() == [lanes.GLYPHS[verdict], verdict] for words in said)
    assert len({lanes.GLYPHS[verdict] for verdict in ("held", "violated", "unknown")}) == 3


def test_colours_are_only_in_variables_and_print_is_light() -> None:
    rules = STYLE[STYLE.index("* {") :]
    assert set(re.findall(r"#[0-9a-fA-F]{3,6}\b", rules)) <= {"#fff", "#ccc"}  # paper, and the rules on it
    printed = rules[rules.index("@media print") :]
    for name, colour in colours("light").items():
        assert f"--{name}:{colour}" in STYLE
    assert "color-scheme:light" in printed
