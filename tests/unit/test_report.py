"""The report of a real, recorded run, and of the same run with its record changed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stormdesk.core import journal
from stormdesk.evidence import chart, report, timeline
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.judges import JUDGES
from stormdesk.evidence.story import BEFORE_S, tell

RUN = Path(__file__).parents[1] / "cases" / "histories" / "disk-full"
Events = list[dict[str, Any]]
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags must close in order; remembers what a browser would fetch, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        self.tags.append(tag)
        self.fetched += [f"{name}={value}" for name, value in attrs if name in ("src", "srcset", "data", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:  # type: ignore[explicit-override]
        assert self.open.pop() == tag


@pytest.fixture
def events() -> Events:
    return [dict(event) for event in journal.read((RUN / "events.jsonl").read_bytes(), "events.jsonl")]


@pytest.fixture
def cut() -> Cut:
    return cuts.parse({path.name: path.read_bytes() for path in (RUN / "cut").iterdir()})


@pytest.fixture
def plans() -> list[dict[str, Any]]:
    plans: list[dict[str, Any]] = json.loads((RUN / "plan.json").read_text())
    return plans


def of(events: Events, name: str) -> dict[str, Any]:
    return next(event for event in events if event["event"] == name)


def test_the_page_stands_alone(events: Events, cut: Cut, plans: list[dict[str, Any]]) -> None:
    text = report.html(events, cut, plans, ["events.jsonl", "outputs/cut/venue.jsonl"])
    page = Page(text)
    assert page.fetched == []
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.tags)
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert page.tags.count("svg") == 2
    assert len(text) < 200_000


def test_the_page_says_what_happened(events: Events, cut: Cut, plans: list[dict[str, Any]]) -> None:
    text = report.html(events, cut, plans)
    assert "The hypothesis held" in text
    assert "invoke chaos.disk-full --host trader-a --percent 100 --for 20s" in text
    assert of(events, "S5.confirmed")["witness"] in text
    assert "as it was before, but for what others changed; verified" in text
    for check in of(events, "checks")["checks"]:
        assert f'<td class="id">{check["id"]}' in text
    assert "sd_unlink /var/lib/trading/.stormdesk-" in text


def test_every_judge_is_told_in_words() -> None:
    assert report.TITLES.keys() == JUDGES.keys()


def test_what_a_host_said_is_text_and_never_markup(events: Events, cut: Cut, plans: list[dict[str, Any]]) -> None:
    of(events, "S5.confirmed")["witness"] = "<script>alert(1)</script> {{ 7 * 7 }}"
    of(events, "checks")["checks"][0]["why"] = '"><img src=x onerror=alert(1)>'
    of(events, "S8.verified").update(clean=False, diff=["+ </pre><b>gone"])
    of(events, "run.started")["argv"] = ["chaos.disk-full", "--path", "<em>"]
    text = report.html(events, cut, plans)
    assert {"script", "img", "b", "em"} & set(Page(text).tags) <= {"b"}
    assert "&lt;b&gt;gone" in text
    assert "{{ 7 * 7 }}" in text
    assert "<img" not in report.summary_md(events, cut)


def test_the_scorecard(events: Events, cut: Cut) -> None:
    card = report.scorecard(events, cut)
    refused = [row for row in cut.orders.rows if row.state == "REJECTED"]
    assert card["verdict"] == "held"
    assert card["exit_code"] == 0
    assert card["orders_refused"] == len(refused) >= 20
    assert card["venue_calls_for_refused"] == 0
    assert card["orders_accepted"] > 0
    assert card["recovered_in_budget"] is True
    assert card["recovery_s"] == pytest.approx(of(events, "recovered")["took_s"], abs=0.001)
    assert card["reverted_by"] == ["controller"]
    assert card["lateness_ms"] == 0
    assert card["checks"] == {"held": 8, "violated": 0, "unknown": 0}
    assert json.loads(json.dumps(card)) == card


def test_a_full_disk_where_no_trader_is_says_nothing_of_refused_orders(events: Events, cut: Cut) -> None:
    assert cut.meta is not None
    assert cut.meta.fault is not None
    elsewhere = msgspec.structs.replace(cut.meta, fault=msgspec.structs.replace(cut.meta.fault, host="store"))
    told = dataclasses.replace(cut, meta=elsewhere)
    assert report.scorecard(events, cut)["orders_refused"] > 0
    assert report.scorecard(events, told)["orders_refused"] is None
    assert "of them reached the venue" not in report.summary_md(events, told)


def test_unmeasured_values_are_null_and_not_zero(events: Events) -> None:
    card = report.scorecard(events, None)
    keys = ("orders_refused", "venue_calls_for_refused", "orders_accepted")
    assert [card[key] for key in keys] == [None, None, None]
    assert "not measured" in report.html(events, None)
    started = events[:1]
    assert report.scorecard(started, None)["recovery_s"] is None
    assert report.scorecard(started, None)["recovered_in_budget"] is None


def test_the_summary(events: Events, cut: Cut) -> None:
    text = report.summary_md(events, cut)
    assert text.startswith("# HELD: disk-full, hosts clean\n")
    assert "| I-04 | held |" in text
    assert "`invoke chaos.disk-full" in text


def violated(events: Events) -> None:
    of(events, "verdict").update(verdict="violated", exit_code=1, why="I-03 violated: x-7: accepted, no row")
    of(events, "checks")["checks"][2].update(verdict="violated", why="x-7: accepted, no row")


def dirty(events: Events) -> None:
    of(events, "verdict").update(verdict="unknown", residue="dirty", exit_code=5, why="trader-a may not be as it was")
    of(events, "S8.verified").update(clean=False, diff=["+ iptables -A INPUT -j DROP"])


def late_watchdog(events: Events) -> None:
    of(events, "verdict").update(exit_code=4, why="trader-a was reverted by watchdog, 280 ms late, not planned")
    of(events, "S9.cleared").update(reverted_by="watchdog", lateness_ms=280)


def never_recovered(events: Events) -> None:
    of(events, "recovered").update(took_s=None, why="no trader is ready")
    of(events, "verdict").update(verdict="violated", exit_code=1, why="recovery violated")


CHANGES = [
    (violated, "The hypothesis is violated", "x-7: accepted, no row"),
    (dirty, "A host may not be as it was", "+ iptables -A INPUT -j DROP"),
    (late_watchdog, "The hypothesis held", "reverted by watchdog, 280 ms past the deadline"),
    (never_recovered, "The hypothesis is violated", "never"),
]


@pytest.mark.parametrize(("change", "headline", "detail"), CHANGES, ids=[change[0].__name__ for change in CHANGES])
def test_a_bad_end_is_reported(
    events: Events, cut: Cut, change: Callable[[Events], None], headline: str, detail: str
) -> None:
    change(events)
    text = report.html(events, cut)
    Page(text)
    assert headline in text
    assert detail in text


@pytest.mark.parametrize("length", range(1, 64))
def test_a_record_that_ends_anywhere_still_makes_a_page(events: Events, length: int) -> None:
    """The controller died there: no verdict, and once the watchdog was armed nobody says that the host is clean."""
    text = report.html(events[:length], None)
    Page(text)
    card = report.scorecard(events[:length], None)
    if length < len(events):
        assert card["verdict"] == "unknown"
        assert card["residue"] == ("dirty" if length >= events.index(of(events, "S2.armed")) + 1 else "clean")


def test_rates_come_from_the_journal_and_show_the_fault(events: Events, cut: Cut) -> None:
    picture = chart.chart(tell(events, cut))
    accepted, refused = picture.series
    inside = [number for number in range(len(accepted.rates)) if 5 <= picture.first + number * picture.bin_s <= 18]
    assert sum(accepted.rates[number] or 0 for number in inside) == 0
    assert min(refused.rates[number] or 0 for number in inside) >= 1
    assert [phase for phase, _, _ in picture.phases] == ["steady", "hold", "recover", "steady"]
    (host, start, end) = picture.faults[0]
    assert host == "trader-a"
    assert start == 0
    assert 20 <= end <= 25


def test_the_chart_begins_before_the_run_only_if_the_journal_covers_it(events: Events, cut: Cut) -> None:
    for known, begins in ((cut, -BEFORE_S), (None, tell(events, None).started_t - tell(events, None).t0)):
        picture = chart.chart(tell(events, known))
        assert picture.first == begins
        assert picture.phases[0] == ("steady", begins, 0.0)


def test_unobserved_times_are_a_gap_and_not_zero(events: Events) -> None:
    samples = [event for event in events if event["event"] == "sample"]
    for sample in samples[10:30]:
        sample["metrics"] = None
    picture = chart.chart(tell(events, None))
    start = samples[10]["t"] - tell(events, None).t0
    end = samples[29]["t"] - tell(events, None).t0
    silent = [
        n for n in range(len(picture.series[0].rates)) if start < picture.first + n and picture.first + n + 1 < end
    ]
    assert silent
    assert all(picture.series[0].rates[number] is None for number in silent)
    assert picture.series[0].rates[0] is None
    assert any(state == "gap" and last - first > 8 for first, last, state in picture.ready)
    assert "url(#gap" in timeline.draw(picture, 800)


def test_a_restarted_counter_is_a_gap_and_not_a_negative_rate(events: Events) -> None:
    samples = [event for event in events if event["event"] == "sample"]
    for sample in samples[20:]:
        sample["metrics"] = sample["metrics"] | {"accepted": 1.0, "refused": 0.0}
    rates = [rate for series in chart.chart(tell(events, None)).series for rate in series.rates if rate is not None]
    assert min(rates) >= 0
    assert max(rates) < 20


def test_many_hosts_are_one_band_and_a_number(events: Events, cut: Cut) -> None:
    picture = chart.chart(tell(events, cut))
    (host, start, end), *_ = picture.faults
    many = dataclasses.replace(picture, faults=tuple((f"node-{n}", start + n / 100, end) for n in range(42)))
    drawn = timeline.draw(many, 800)
    assert drawn.count('class="fault"') == 1
    assert ">fault on 42 hosts<" in drawn
    apart = dataclasses.replace(picture, faults=((host, 0.0, 1.0), ("node-2", 2.0, 3.0)))
    assert timeline.draw(apart, 800).count('class="fault"') == 2


def test_what_was_chosen_and_how_far_apart_the_injects_were(
    events: Events, cut: Cut, plans: list[dict[str, Any]]
) -> None:
    start = of(events, "run.started")
    assert "--seed" not in report.html(events, cut, plans)
    assert "within" not in dict(report._facts(report.tell(events, cut))).get("injected", "")
    start["targets"] = [
        {"asked": "leader", "hosts": ["trader-a"], "why": "it holds the lock"},
        {"asked": "one:role:trader", "hosts": ["trader-b"], "why": f"seed {start['seed']}"},
        {"asked": "ops", "hosts": ["ops"], "why": ""},
    ]
    spread = {"event": "S4.spread", "hosts": 3, "spread_ms": 12, "uncertain_ms": 4}
    told: Events = [*events, {**spread, "t": start["t"], "run": start["run"], "seq": 0}]
    for text in (report.html(told, cut, plans), report.summary_md(told, cut)):
        assert f"leader is trader-a: it holds the lock; one:role:trader is trader-b: seed {start['seed']}" in text
        assert "ops is" not in text
        assert "on 3 hosts within 12 ms (known to 4 ms)" in text
        assert f"--for 20s --seed {start['seed']}" in text
    start["argv"].append("--seed=1")
    assert f"--seed=1 --seed {start['seed']}" not in report.html(told, cut, plans)


SET = {"event": "breakpoint.set", "host": "venue", "at": "venue:accepted:3", "within_s": 30.0, "how": "it holds"}
COME = {"event": "breakpoint.come", "host": "venue", "at": "venue:accepted:3", "waited_s": 1.23, "evidence": "order x"}
OVER = {
    "event": "breakpoint.over",
    "host": "venue",
    "at": "venue:accepted:3",
    "held": True,
    "held_s": 0.2,
    "evidence": "not answered",
}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], ""),
        ([SET], "venue:accepted:3 on venue: it did not come within 30 s"),
        ([SET, {**OVER, "held": False}], "venue:accepted:3 on venue: it did not come within 30 s"),
        ([SET, COME], "it came 1.2 s after it was set (order x); the record does not say"),
        ([SET, COME, OVER], "(order x); the fault was in while it was held, for 0.20 s (not answered)"),
        ([SET, COME, {**OVER, "held": False}], "(order x); the fault was in not while it was held, for 0.20 s"),
    ],
)
def test_it_says_when_the_event_came_and_whether_the_fault_was_in_while_it_was_held(
    events: Events, cut: Cut, more: Events, says: str
) -> None:
    story = tell([*events, *({"t": 0.0, "run": "r", **event} for event in more)], cut)
    assert says in story.breakpoint
    assert bool(story.breakpoint) == bool(more)
    assert dict(report._facts(story)).get("injected at", "") == story.breakpoint
