"""What a run found, each with what to type to try it again; and the actions that people wrote down. Pure.

A note that begins with `action:` is an action item; `owner=`, `due=` and `issue=` in it are taken out of its text:
`invoke gameday.note --run ID --text "action: shorten the guard's timeout owner=ann due=2026-12-01"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from stormdesk.core.errors import ExitCode
from stormdesk.core.journal import Event
from stormdesk.core.outcome import next_step
from stormdesk.evidence.scorecard import state
from stormdesk.evidence.story import HostStory, Story

HIGH, MEDIUM, LOW = "high", "medium", "low"
ACTION = "action:"
_KEY = re.compile(r"\s*\b(owner|due|issue)=(\S+)")


@dataclass(frozen=True)
class Finding:
    """One line of the list. What nobody has said is ""."""

    severity: str
    text: str
    retest: str
    owner: str = ""
    due: str = ""
    issue: str = ""


def findings(story: Story) -> tuple[Finding, ...]:
    """The gravest first. `retest` is the run's own command, unless something else must come before."""
    found = [*_of_the_run(story), *_of_checks(story), *(one for host in story.hosts for one in _of_host(story, host))]
    if not any(one.severity != LOW for one in found) and (what := state(story)) in ("unknown", "fail"):
        found.append(Finding(HIGH if what == "fail" else MEDIUM, story.why, story.command))  # what no check says
    order = (HIGH, MEDIUM, LOW)
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def actions(story: Story) -> tuple[Finding, ...]:
    """What people wrote down in notes that begin with `action:`."""
    return tuple(_action(story, note) for note in story.notes if is_action(note))


def is_action(note: Event) -> bool:
    """Is this note an action item?"""
    return str(note.get("text", "")).lower().startswith(ACTION)


def _action(story: Story, note: Event) -> Finding:
    text = str(note["text"])[len(ACTION) :]
    said = dict(_KEY.findall(text))
    return Finding("", _KEY.sub("", text).strip(), story.command, **{"owner": str(note.get("who", "")), **said})


def _of_the_run(story: Story) -> Iterable[Finding]:
    what = state(story)
    if what == "dirty":
        yield Finding(HIGH, f"A host may not be as it was: {story.why}", next_step(ExitCode.DIRTY, "dirty", story.run))
    if what in ("stopped", "refused"):
        yield Finding(LOW, f"Nothing was proved: {story.why}", story.command)
    took, budget = story.recovered.get("took_s"), story.recovered.get("budget_s")
    if budget is not None and (took is None or took > budget):
        slow = "never" if took is None else f"after {took:.1f} s"
        yield Finding(HIGH, f"Trading was steady again {slow}; the budget is {budget:g} s", story.command)
    if not story.checks and what == "unknown":
        yield Finding(MEDIUM, f"No checks ran: {story.why}", story.command)


def _of_checks(story: Story) -> Iterable[Finding]:
    """Checks that did not hold; I-09 is the recovery, which is told already where it was late."""
    late = story.recovered.get("took_s") is None or story.recovered["took_s"] > story.recovered.get("budget_s", 0)
    for check in (*story.expectations, *story.checks):
        if check.verdict == "held" or (check.id == "I-09" and story.recovered and late):
            continue
        name = check.id.removeprefix("expect: ")
        yield Finding(
            HIGH if check.verdict == "violated" else MEDIUM, f"{name} {check.verdict}: {check.why}", story.command
        )


def _of_host(story: Story, host: HostStory) -> Iterable[Finding]:
    if host.injected_t and not host.witness:
        yield Finding(MEDIUM, f"{host.label}: no evidence that the fault had an effect", story.command)
    if host.side_effects:
        yield Finding(
            MEDIUM, f"{host.label}: the fault changed more than planned: {'; '.join(host.side_effects)}", story.command
        )
    if host.lateness_ms:
        yield Finding(
            MEDIUM,
            f"{host.label}: reverted by {host.reverted_by}, {host.lateness_ms} ms past the deadline",
            story.command,
        )
    if host.others:
        yield Finding(
            LOW,
            f"{host.label}: others changed it meanwhile, and that was kept: {'; '.join(host.others)}",
            story.command,
        )
