"""docs/scenarios.md: what every scenario demands, and what its last real run measured.

`invoke dev.scenarios --run ID` takes a run of a game day from its directory into docs/scenarios/<runbook>.json and writes the page;
without a run it only writes the page, from the runbooks and the results that are there. A result is of the text of its runbook:
after a change of that it counts as old.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from stormdesk.cli import runbooks
from stormdesk.cli.runbooks import Entry
from stormdesk.core.goals import Goal
from stormdesk.core.runbook import Runbook
from stormdesk.core.schedule import Act, Inject, Op, Wait
from stormdesk.evidence import story
from stormdesk.run.record import load, runs_folder

ROOT = Path(__file__).parents[2]
BOOKS, RESULTS, PAGE = ROOT / "runbooks", ROOT / "docs" / "scenarios", ROOT / "docs" / "scenarios.md"
# Group, number of scenarios: reference sheet of the trading stack. Written S1-01, H-01 and so on.
GROUPS: Mapping[str, int] = {
    "S1": 15, "S2": 10, "S3": 3, "S4": 2, "SN": 7, "SB": 3, "H": 14, "N": 11, "K": 6, "B": 7, "R": 6, "L": 10, "E": 25,
}  # fmt: skip
IDS = tuple(f"{group}-{number:02}" for group, count in GROUPS.items() for number in range(1, count + 1))
OK = ("held",)
NUMBERS = ("I-08", "I-12")  # judges whose words have numbers that scenarios demand, also when they held
HEAD = """# Scenarios

Every scenario, the runbook that plays it, and what its last real run measured. Written by `invoke dev.scenarios`; a run is taken in
with `invoke dev.scenarios --run ID`. *old*: the runbook has changed since that run. *not run*: it never was; that is no pass.

"""


class Judged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expectation or check, and what came of it."""

    id: str
    verdict: str
    why: str


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One real run of a runbook. `digest` is of the runbook's yaml block as it was run."""

    runbook: str
    digest: str
    run: str
    date: str
    verdict: str
    why: str
    recovery_s: float | None
    expectations: list[Judged]
    checks: list[Judged]


def ids(book: Runbook) -> list[str]:
    """The scenarios that a runbook plays."""
    return list(book.scenarios)


def books() -> dict[str, Entry]:
    """Every runbook of ours, each variant by its name."""
    return {entry.name: entry for path in sorted(BOOKS.rglob("*.md")) for entry in runbooks.entries(path)}


def results() -> dict[str, Result]:
    """By the runbook's name."""
    found = [msgspec.json.decode(path.read_bytes(), type=Result) for path in sorted(RESULTS.glob("*.json"))]
    return {result.runbook: result for result in found}


def take(folder: Path) -> Result:
    """What a run's directory says."""
    told = story.tell(load(folder), None)
    book = told.runbook or {}
    name = str(book.get("name") or Path(str(book.get("path", ""))).stem)  # older runs have no name: they had no variants
    if name not in books():
        raise SystemExit(f"{folder.name} is no run of a runbook of ours: {name or told.fault}")
    took = told.recovered.get("took_s")
    return Result(
        runbook=name,
        digest=str((told.runbook or {}).get("digest", "")),
        run=told.run,
        date=datetime.fromtimestamp(told.started_t, UTC).strftime("%Y-%m-%d"),
        verdict=told.verdict if told.residue == "clean" else "dirty",
        why=told.why,
        recovery_s=None if took is None else round(float(took), 2),
        expectations=[_judged(check) for check in told.expectations],
        checks=[_judged(check) for check in told.checks],
    )


def _judged(check: story.Check) -> Judged:
    return Judged(id=check.id.removeprefix("expect: "), verdict=check.verdict, why=check.why)


def page(known: Mapping[str, Entry], measured: Mapping[str, Result]) -> str:
    """The page. A scenario without a runbook has a row of its own."""
    by_id = {name: entry for entry in known.values() for name in ids(entry.book)}
    rows = ["| id | runbook | what is done | demanded | measured | verdict |", "|---|---|---|---|---|---|"]
    verdicts: list[str] = []
    for name in IDS:
        if name not in by_id:
            verdicts.append("no runbook")
            rows.append(f"| {name} | none | | | | **no runbook** |")
            continue
        entry = by_id[name]
        book, result = entry.book, measured.get(entry.name)
        verdicts.append(verdict(book, result))
        link = f"[{entry.name.replace('[', ' ').removesuffix(']')}](../{entry.path.relative_to(ROOT)})"
        cells = (name, link, done(book), demanded(book), measured_text(result), verdicts[-1])
        rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    counts = {word: verdicts.count(word) for word in sorted(set(verdicts))}
    summary = f"{len(IDS)} scenarios: {', '.join(f'{count} {word}' for word, count in counts.items())}.\n\n"
    return HEAD + summary + "\n".join(rows) + "\n"


def verdict(book: Runbook, result: Result | None) -> str:
    """In one word, and whether it is of the runbook as it is."""
    if result is None:
        return "not run"
    return result.verdict if result.digest == book.digest else f"old ({result.verdict})"


def done(book: Runbook) -> str:
    """The faults and acts, in the order of the file."""
    return "; ".join(filter(None, map(_done, book.schedule)))


def _done(op: Op) -> str:
    match op.do:
        case Inject(hosts=hosts, hold_s=hold_s, fault=fault):
            return f"`{fault.name}` on {','.join(hosts)} for {hold_s:g} s"
        case Act(task=task):
            return f"`{task}`"
        case Wait(s=s):
            return f"wait {s:g} s"
        case _:
            return ""


def demanded(book: Runbook) -> str:
    """Its budget, its expectations and its checks."""
    wanted = [f"trading again ≤ {book.rto_s:g} s"]
    wanted += [expectation.sentence() for inject in book.faults for expectation in inject.expect]
    wanted += [_goal(goal) for goal in book.goals]
    wanted += [f"{name} violated" for name in book.violated]
    return "<br>".join([*wanted, ", ".join(book.checks) or "all checks that apply"])


def _goal(goal: Goal) -> str:
    """A time that the whole run is to keep."""
    return f"{goal.kind}: {goal.seen.sentence() if goal.seen else f'within {goal.within_s:g} s'}"


def measured_text(result: Result | None) -> str:
    """What the run measured, in the order of what was demanded."""
    if result is None:
        return ""
    recovery = "trading never again" if result.recovery_s is None else f"trading again after {result.recovery_s:g} s"
    told = [recovery, *(_said(one) for one in result.expectations)]
    bad = [one for one in result.checks if one.verdict not in OK]
    told.append(f"{len(result.checks) - len(bad)} of {len(result.checks)} checks held")
    told += [f"{one.id}: {one.why}" for one in result.checks if one.verdict in OK and one.id in NUMBERS]
    told += [f"**{one.id} {one.verdict}**: {one.why}" for one in bad]
    return "<br>".join([*told, f"{result.date} {result.run}"])


def _said(one: Judged) -> str:
    return one.why if one.verdict in OK else f"**{one.verdict}**: {one.why}"


def main(runs: Sequence[str]) -> None:
    for run in runs:
        result = take(runs_folder() / run)
        text = msgspec.json.format(msgspec.json.encode(result), indent=1)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{result.runbook.replace('[', '-').removesuffix(']')}.json").write_bytes(text + b"\n")
    PAGE.write_text(page(books(), results()))


if __name__ == "__main__":
    main(sys.argv[1:])
