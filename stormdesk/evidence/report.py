"""The reports of a run: report.html, summary.md, scorecard.json. Pure: events and a cut in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
import msgspec

from stormdesk.core import shell
from stormdesk.core.journal import Event
from stormdesk.evidence import chaos_log, chart, comparing, findings, lanes, page, sections, tables, timeline
from stormdesk.evidence import scorecard as scorecards
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.sentence import sentence
from stormdesk.evidence.story import STEPS, HostStory, Story, tell
from stormdesk.evidence.tiles import marked, tiles

WIDE_PX, NARROW_PX = 1070, 360
TITLES = {
    "I-01": "Every venue order has exactly one earlier INTENT in the ledger",
    "I-02": "No order id is accepted twice, no signal has two",
    "I-03": "No order is lost; all sources agree on each",
    "I-04": "Positions equal fills, fees and balances exactly",
    "I-05": "The ledger is whole, its hash chain unbroken",
    "I-06": "At any instant at most one leader's epoch sends",
    "I-07": "No order is accepted while a gate is shut",
    "I-08": "Market data is complete, books equal the venue's",
    "I-09": "Trading was steady again within its budget",
    "I-10": "Services restart just as often as the fault says",
    "I-11": "The bus keeps its order and nothing counts twice",
    "I-12": "The venue's rate limits are kept, no ban is earned",
    "I-13": "Nothing of ours is left on any host",
    "I-14": "What all accounts hold together stays the same",
    "I-17": "After a kill no order of the desk is open",
    "I-18": "Each order went as the ledgers say",
    "I-19": "What a person stopped stays stopped until lifted",
    "I-20": "No trade is beyond what its order allows",
    "I-21": "A signal from outside has at most one order",
    "refusals": "No refused order reached the venue",
}
HEADLINES = {
    "held": "The hypothesis held",
    "violated": "The hypothesis is violated",
    "unknown": "No verdict",
    "stopped": "Stopped early",
    "refused": "Refused, and nothing was touched",
    "dirty": "A host may not be as it was",
}
SECTIONS = (
    ("scorecard", "Scorecard"),
    ("timeline", "Timeline"),
    ("hypothesis", "Hypothesis"),
    ("faults", "Faults: plan, proof of injection, proof of undo"),
    ("invariants", "Invariants by host"),
    ("notes", "Notes of observers"),
    ("findings", "Findings and action items"),
    ("people", "Roles, attendance, approvals"),
    ("environment", "Environment"),
    ("files", "Raw files"),
)
WORDS_SHOWN = 200  # lines of the timeline in words


def documents(
    events: Sequence[Event],
    cut: Cut | None,
    plans: Sequence[Mapping[str, Any]],
    files: Iterable[str],
    earlier: Iterable[comparing.Card],
) -> tuple[dict[str, str], str]:
    """All that is written after a run, by file name, and the name of evidence.log's copy in reports/chaos/. `earlier` are scorecards
    of other runs, and `files` what lies beside the page."""
    story = tell(events, cut)
    card = _card(story)
    last = comparing.last_of_the_same(card, earlier)
    copies = tables.tables(story, TITLES, last)
    log, log_name = _log(story)
    texts = {
        "evidence.log": log,
        "summary.md": _summary(story),
        "scorecard.json": json.dumps(card, indent=1) + "\n",
        "report.html": _page(story, plans, [*files, *copies], last),
        **copies,
    }
    return texts, log_name


def html(
    events: Sequence[Event],
    cut: Cut | None,
    plans: Sequence[Mapping[str, Any]] = (),
    files: Iterable[str] = (),
    last: comparing.Card | None = None,
) -> str:
    """One self-contained page. `plans` is plan.json, `files` what lies beside the page, as relative paths, `last` the scorecard of
    the last run of the same id."""
    return _page(tell(events, cut), plans, files, last)


# long: all that the template is given
def _page(story: Story, plans: Sequence[Mapping[str, Any]], files: Iterable[str], last: comparing.Card | None) -> str:
    picture = chart.chart(story)
    card = scorecards.scorecard(story)
    words, words_left = lanes.in_words(picture.lanes, WORDS_SHOWN)
    return _template().render(
        story=story,
        headline=HEADLINES.get(card.state, HEADLINES.get(story.verdict, story.verdict)),
        state=card.state,
        mark=marked(card.state),
        glyphs=lanes.GLYPHS,
        sections=SECTIONS,
        sentence=sentence(story),
        card=card,
        last=last,
        last_mark=marked(comparing.state_of(last)) if last else "",
        tiles=tiles(story, card, last),
        wide=timeline.draw(picture, WIDE_PX),
        narrow=timeline.draw(picture, NARROW_PX),
        source=picture.source,
        words=words,
        words_left=words_left,
        titles=TITLES,
        rows=sections.hypothesis(story, TITLES),
        matrix=sections.matrix,
        known_hosts=[host.host for host in story.hosts],
        found=findings.findings(story),
        actions=findings.actions(story),
        people=sections.people(story),
        held=lambda checks: sum(check.verdict == "held" for check in checks),
        undone=_undone,
        version=story.start.get("version", ""),
        plans_of=lambda host: [_plan(plan) for plan in sections.plans_of(story, host, plans)],
        parameters=lambda host: sections.parameters(story, host),
        steps={host.label: _steps(story, host) for host in story.hosts},
        schedule=[
            (s.lane, s.id, s.does, "" if s.began_t is None else f"{s.began_t - story.t0:+.1f} s")
            for s in story.schedule
        ],
        facts=_facts(story),
        files=sorted(set(files)),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(page.TEMPLATE)


def scorecard(events: Sequence[Event], cut: Cut | None) -> dict[str, Any]:
    """The numbers, for programs; what was not measured is None."""
    return _card(tell(events, cut))


def _card(story: Story) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(scorecards.scorecard(story))
    return document


def log(events: Sequence[Event], cut: Cut | None) -> tuple[str, str]:
    """evidence.log, and the name of its copy in reports/chaos/."""
    return _log(tell(events, cut))


def _log(story: Story) -> tuple[str, str]:
    return chaos_log.text(story), f"{chaos_log.name_of(story)}_{chaos_log.stamp(story)}.log"


def summary_md(events: Sequence[Event], cut: Cut | None) -> str:
    """A page of Markdown for a pull request or a job summary."""
    return _summary(tell(events, cut))


def _summary(story: Story) -> str:
    lines = [f"# {story.verdict.upper()}: {story.fault}, hosts {story.residue}", "", _cell(sentence(story)), ""]
    lines += [
        f"- {tile.label}: **{tile.number}** {tile.unit}".rstrip() for tile in tiles(story, scorecards.scorecard(story))
    ]
    lines += ["", "| check | verdict | why |", "|---|---|---|"]
    for check in (*story.expectations, *story.checks):
        lines.append(f"| {_cell(check.id)} | {check.verdict} | {_cell(check.why)} |")
    if found := (*findings.findings(story), *findings.actions(story)):
        lines += ["", "| severity | finding | owner | due |", "|---|---|---|---|"]
        lines += [
            f"| {one.severity or 'action'} | {_cell(one.text)} | {_cell(one.owner)} | {_cell(one.due)} |"
            for one in found
        ]
    lines += ["", f"Run `{story.run}` in environment `{story.start.get('environment')}`."]
    told = ("chosen", "injected", "situations reached")
    lines += [f"{name.capitalize()}: {_cell(value)}." for name, value in _facts(story) if name in told]
    lines += [f"Again: `{story.command}`"] if story.command else []
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that stays one cell, whatever a host has put into it."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())


def _plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan of plan.json with its commands as one would type them."""
    return {
        "host": plan["id"]["host"],
        "mechanism": plan["change"]["mechanism"],
        "rejected": plan["change"]["rejected"],
        "says": plan["change"]["says"],
        "ttl_s": plan["timing"]["ttl_s"],
        "witness": shell.words(tuple(plan["proof"]["witness"])),
        "steps": [
            {"do": shell.words(tuple(step["do"])), "undo": [shell.words(tuple(undo)) for undo in step["undo"]]}
            for step in plan["change"]["steps"]
        ],
    }


def _undone(host: HostStory) -> str:
    """The host's end in words."""
    if host.clean is None:
        return "nobody could ask the host" if host.injected_t else "nothing was in"
    state = "as it was before, but for what others changed; verified" if host.clean else "not as it was before"
    by = f"; reverted by {host.reverted_by}" if host.reverted_by else ""
    return state + by + (f", {host.lateness_ms} ms past the deadline" if host.lateness_ms else "")


def _steps(story: Story, host: HostStory) -> list[tuple[str, str, str]]:
    """Each of the nine steps with its instant relative to the injection, "" when the record has no such step."""
    instants = dict(reversed(host.steps))
    shown = []
    for name, says in STEPS.items():
        when = f"{instants[name] - story.t0:+.1f} s" if name in instants else ""
        shown.append((name.partition(".")[0], says, when))
    return shown


def _drained(cut: Cut | None) -> str:
    if cut is None or cut.meta is None:
        return ""
    return "not drained" if cut.meta.drain_s is None else f"drained in {cut.meta.drain_s:.1f} s before the cut"


def _spread(story: Story) -> str:
    """How far apart the injects on several hosts were; "" where there is one host, or where that is not known."""
    if not (seen := story.spread):
        return ""
    return f"on {seen['hosts']} hosts within {seen['spread_ms']} ms (known to {seen['uncertain_ms']} ms)"


def _facts(story: Story) -> list[tuple[str, str]]:
    start = story.start
    parameters = start.get("params") or {}
    known = {
        "fault": " ".join([story.fault, *(f"{key}={value}" for key, value in parameters.items())]),
        "hosts": ", ".join(dict.fromkeys(host.host for host in story.hosts)),
        "chosen": "; ".join(
            f"{target['asked']} is {', '.join(target['hosts'])}: {target['why']}"
            for target in story.targets
            if target["why"]
        ),
        "injected": _spread(story),
        "injected at": story.breakpoint,
        "held for": f"{start['hold_s']:g} s" if "hold_s" in start else "",
        "time to live": f"{start['ttl_s']:g} s" if "ttl_s" in start else "",
        "seed": str(start.get("seed", "")),
        "plan hash": str(start.get("plan_hash", "")),
        "controller": f"pid {start['controller']['pid']}" if start.get("controller") else "",
        "orders in flight": _drained(story.cut),
        "done by": "; ".join(dict.fromkeys(f"{h.mechanism} on {h.host}" for h in story.hosts if h.mechanism)),
        "code of the stack": ", ".join(sections.codes(story)),
        "no peer could see": "; ".join(story.unseen),
        "situations reached": ", ".join(sorted(story.situations or ())),
        "Stormdesk": str(start.get("version", "")),
    }
    return [(key, value) for key, value in known.items() if value]
