"""The tables of a report: hypothesis, invariant matrix, people, environment. Pure: a Story in, rows out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormdesk.core.run_ids import part
from stormdesk.evidence.story import Check, HostStory, Story

_OF_HOST = re.compile(r"^(?P<kind>\S+)(?: (?P<host>[\w.-]+)|\[(?P<other>[\w.-]+)\])$")
ENOUGH = 100  # samples in which each host that answers has told its code; those of a long run are many
_KINDS_OF_HOST = ("services", "ports")


@dataclass(frozen=True)
class Row:
    """One line of the hypothesis table. `link` is where the evidence is: a section of the page, or a file beside it."""

    expected: str
    actual: str
    verdict: str
    link: str
    evidence: str


@dataclass(frozen=True)
class Matrix:
    """Checks by host. `rows` are (kind, cells), a cell for each of `hosts`; None: not asked there."""

    hosts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Check | None, ...]], ...]


def hypothesis(story: Story, titles: Mapping[str, str]) -> tuple[Row, ...]:
    """What was expected, what came of it, and where the evidence is; in the order of the run."""
    rows = []
    for when, checks in story.steady.items():
        rows.append(_all_of(f"Steady state {when} the fault", checks, f"#steady-{when}", "checks of the steady state"))
    if story.hosts:
        seen = [host for host in story.hosts if host.witness]
        there = f"{len(seen)} of {len(story.hosts)} seen" if len(story.hosts) > 1 else "seen" if seen else "not seen"
        verdict = "held" if len(seen) == len(story.hosts) else "unknown"
        rows.append(Row("The fault has an effect", there, verdict, "#faults", "proof of injection"))
    rows += [
        Row(check.id.removeprefix("expect: "), check.why, check.verdict, "events.jsonl", "samples in events.jsonl")
        for check in story.expectations
    ]
    if story.recovered:
        took, budget = story.recovered.get("took_s"), story.recovered.get("budget_s", 0)
        actual = f"after {took:.1f} s" if took is not None else f"never: {story.recovered.get('why', '')}"
        held = took is not None and took <= budget
        rows.append(
            Row(f"Steady again within {budget:g} s", actual, "held" if held else "violated", "#timeline", "timeline")
        )
    rows += [
        Row(f"{check.id} {titles.get(check.id, '')}".strip(), check.why, check.verdict, "#invariants", "what was read")
        for check in story.checks
    ]
    if story.hosts:
        verdict = "held" if story.residue == "clean" else "violated"
        rows.append(Row("The hosts are as they were", f"hosts {story.residue}", verdict, "#faults", "proof of undo"))
    return tuple(rows)


def _all_of(name: str, checks: Sequence[Check], link: str, evidence: str) -> Row:
    bad = [check for check in checks if check.verdict != "held"]
    verdict = next((word for word in ("violated", "unknown") if any(c.verdict == word for c in bad)), "held")
    actual = f"{len(checks) - len(bad)} of {len(checks)} held" + (f"; {bad[0].id}: {bad[0].why}" if bad else "")
    return Row(name, actual, verdict, link, evidence)


def matrix(checks: Sequence[Check], hosts: Iterable[str] = ()) -> tuple[Matrix, tuple[Check, ...]]:
    """The checks that each ask one host, by host; and the others, which ask the environment as a whole."""
    cells: dict[tuple[str, str], Check] = {}
    whole = []
    known = set(hosts)
    for check in checks:
        match = _OF_HOST.match(check.id)
        host = (match["host"] or match["other"]) if match else ""
        if match and (match["other"] or match["kind"] in _KINDS_OF_HOST or host in known):
            cells[match["kind"], host] = check
        else:
            whole.append(check)
    kinds, names = (tuple(dict.fromkeys(key[n] for key in cells)) for n in (0, 1))
    rows = tuple((kind, tuple(cells.get((kind, name)) for name in names)) for kind in kinds)
    return Matrix(names, rows), tuple(whole)


def people(story: Story) -> tuple[tuple[str, str], ...]:
    """(role, who): the runbook's owner and roles, who noted something, who approved; only what the record says."""
    book = story.runbook or {}
    rows = [("owner of the runbook", str(book["owner"]))] if book.get("owner") else []
    roles = book.get("roles")
    if isinstance(roles, Mapping):
        rows += [(str(role), str(who)) for role, who in roles.items()]
    elif roles:
        rows.append(("roles", str(roles)))
    by = [str(note.get("who", "")) for note in story.notes]
    said = {who: by.count(who) for who in by if who not in ("runbook", "terminal", "")}
    rows += [("observer", f"{who}, {n} note{'s' if n > 1 else ''}") for who, n in said.items()]
    answers = by.count("terminal")
    rows += [("at the terminal", f"answered {answers} question{'s' if answers > 1 else ''}")] if answers else []
    return tuple(rows)


def plans_of(story: Story, host: HostStory, plans: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The plans of plan.json that are those of a fault on its host. Plans of earlier versions had another shape and are left out."""
    names = [str(op["id"]) for op in story.start.get("ops", ()) if "fault" in op]
    run_id = part(story.run, names.index(host.op), len(names)) if host.op in names else story.run
    mine = [plan for plan in plans if "change" in plan and plan["id"]["host"] == host.host]
    return [plan for plan in mine if not host.op or plan["id"]["run_id"] == run_id]


def parameters(story: Story, host: HostStory) -> str:
    """The fault on a host with its parameters, as one would type them."""
    op = next((op for op in story.start.get("ops", ()) if str(op["id"]) == host.op), None)
    fault, given = (
        (op["fault"], op.get("params") or {})
        if op and "fault" in op
        else (story.fault, story.start.get("params") or {})
    )
    return " ".join([str(fault), *(f"{key}={value}" for key, value in given.items())])


def codes(story: Story) -> tuple[str, ...]:
    """What the hosts' health says of the code that they run."""
    found: dict[str, str] = {}
    for sample in story.samples[-ENOUGH:]:
        health = sample.get("health") or {}
        for host, document in health.items():
            if isinstance(document, Mapping) and document.get("code"):
                found[host] = f"{host} {document['code']}"
    return tuple(found[host] for host in sorted(found))
