"""Game days: a Markdown file, prose for people and exactly one fenced `yaml` block for the runner. Pure.

Steps are in one lane (`steps`), or in lanes that run side by side (`lanes`).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import yaml

from stormdesk.core import needs, reading, runbook_goals, runbook_matrix, runbook_roles
from stormdesk.core.allowed_times import Freeze, Window
from stormdesk.core.conditions import Condition
from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.goals import Goal
from stormdesk.core.needs import Needs
from stormdesk.core.reading import Reader
from stormdesk.core.runbook_matrix import Variant
from stormdesk.core.runbook_steps import Known, step
from stormdesk.core.schedule import Inject, Op, Schedule, in_lanes

T = TypeVar("T")
MAX_BYTES = 1 << 20
TOP = (
    "title",
    "scenario",
    "matrix",
    "hypothesis",
    "owner",
    "tags",
    "roles",
    "windows",
    "freeze",
    "needs",
    "rto_s",
    "steady_state",
    "steps",
    "lanes",
    "expect",
    "stop_when",
    "checks",
    "violated",
    "situations",
)
MAIN = "main"  # the lane of `steps`


@dataclass(frozen=True)
class Runbook:
    """A game day. `variant` names one of several of a file. `rto_s` is the recovery budget, and overrides those of the faults.

    `scenarios` are the ids that it shows. `checks` must be among those that were judged, which are all that apply; `engine.listens`
    is a project's own check. `violated` are those that the scenario must violate. `situations` must have been reached
    (docs/situations.md). `digest` is of the yaml block and the variant: two results of one digest are of the same game day.
    """

    variant: str
    title: str
    scenarios: tuple[str, ...]
    hypothesis: str
    owner: str
    tags: tuple[str, ...]
    needs: Needs
    windows: tuple[Window, ...]
    freeze: tuple[Freeze, ...]
    rto_s: float
    steady_state: tuple[str, ...]
    schedule: Schedule
    goals: tuple[Goal, ...]
    stop_when: tuple[Condition, ...]
    checks: tuple[str, ...]
    prose: str
    situations: tuple[str, ...] = ()
    violated: tuple[str, ...] = ()
    digest: str = ""

    @property
    def scenario(self) -> str:
        """The ids in one text."""
        return " ".join(self.scenarios)

    @property
    def faults(self) -> list[Inject]:
        """What it injects, in the order of the file."""
        return [op.do for op in self.schedule if isinstance(op.do, Inject)]

    @property
    def watched(self) -> list[str]:
        """The hosts whose health it expects something of."""
        seen = [expectation for do in self.faults for expectation in do.expect]
        seen += [goal.seen for goal in self.goals if goal.seen] + [each.seen for each in self.stop_when]
        return list(dict.fromkeys(expectation.host for expectation in seen if expectation.host))


@dataclass(frozen=True)
class Vocabulary:
    """What a runbook may name: faults, checks, operators' tasks, stacks with their services, and situations."""

    faults: Mapping[str, type[Fault]]
    checks: Sequence[str]
    acts: Sequence[str] = ()
    stacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    situations: Sequence[str] = ()


def parse(
    text: str, origin: str, catalogue: Mapping[str, type[Fault]], checks: Sequence[str], acts: Sequence[str] = ()
) -> Runbook:
    """Read a runbook, the first of its variants. Raises UsageError with file, line and column."""
    return variants(text, origin, Vocabulary(catalogue, checks, acts))[0]


def variants(text: str, origin: str, known: Vocabulary) -> list[Runbook]:
    """Read all variants of a runbook; without a `matrix` there is one. Raises UsageError with file, line and column."""
    if len(text.encode()) > MAX_BYTES:
        raise UsageError(f"{origin}: larger than {MAX_BYTES} bytes: not a runbook")
    block, first_line, prose = reading.block(text, origin)
    reader = Reader(origin, first_line, block.splitlines())
    root = reading.compose(block, reader)
    keys = reader.mapping(root, "", TOP)
    for needed in ("title", "rto_s"):
        if needed not in keys:
            reader.fail(root, needed, "is required")
    if ("steps" in keys) == ("lanes" in keys):
        reader.fail(root, "steps", "is required" if "steps" not in keys else "and lanes: give one of them")
    return [
        replace(_variant(reader, each, known, prose), digest=_digest(block + each.name))
        for each in runbook_matrix.variants(reader, keys)
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _variant(reader: Reader, variant: Variant, known: Vocabulary, prose: str) -> Runbook:
    keys = runbook_roles.filled(reader, variant.keys)
    rto_s = reader.value(keys["rto_s"], "rto_s", _seconds)
    schedule = _schedule(reader, keys, Known(known.faults, known.acts), rto_s)

    def optional(name: str) -> str:
        return reader.text(keys[name], name) if name in keys else ""

    return Runbook(
        variant=variant.name,
        title=reader.text(keys["title"], "title"),
        scenarios=_ids(reader, keys.get("scenario")),
        hypothesis=optional("hypothesis"),
        owner=optional("owner"),
        tags=tuple(reader.text(node, f"tags[{n}]") for n, node in enumerate(reader.sequence(keys.get("tags"), "tags"))),
        windows=tuple(_each(reader, keys, "windows", Window.of)),
        freeze=tuple(_each(reader, keys, "freeze", Freeze.of)),
        needs=needs.read(reader, keys.get("needs"), known.stacks),
        rto_s=rto_s,
        steady_state=tuple(_names(reader, keys.get("steady_state"), "steady_state", ("steady",))) or ("steady",),
        schedule=schedule,
        goals=runbook_goals.read(reader, keys.get("expect"), schedule, rto_s),
        stop_when=runbook_goals.conditions(reader, keys.get("stop_when")),
        checks=tuple(_names(reader, keys.get("checks"), "checks", known.checks)),
        prose=prose,
        violated=tuple(_names(reader, keys.get("violated"), "violated", known.checks)),
        situations=tuple(_situations(reader, keys.get("situations"), known.situations)),
    )


def _schedule(reader: Reader, keys: Mapping[str, yaml.Node], known: Known, rto_s: float) -> Schedule:
    lanes: dict[str, list[tuple[yaml.Node, str]]] = {}
    if "steps" in keys:
        nodes = reader.sequence(keys["steps"], "steps")
        lanes[MAIN] = [(node, f"steps[{number}]") for number, node in enumerate(nodes)]
    elif isinstance(keys["lanes"], yaml.MappingNode):
        for key, value in keys["lanes"].value:
            nodes = reader.sequence(value, f"lanes.{key.value}")
            lanes[str(key.value)] = [(node, f"lanes.{key.value}[{number}]") for number, node in enumerate(nodes)]
    else:
        reader.fail(keys["lanes"], "lanes", "expected lanes with their steps")
    places: dict[str, tuple[yaml.Node, str]] = {}
    ops: dict[str, list[Op]] = {}
    for lane, steps in lanes.items():
        for node, path in steps:
            op = step(reader, node, path, lane, known, rto_s)
            op = _by_its_own_name(reader, node, path, op, places)
            places[op.id] = (node, path)
            ops.setdefault(lane, []).append(op)
    if not any(isinstance(op.do, Inject) for lane in ops.values() for op in lane):
        top = keys["steps"] if "steps" in keys else keys["lanes"]
        reader.fail(top, "steps" if "steps" in keys else "lanes", "at least one step is required that is a fault")
    try:
        return in_lanes(ops)
    except ValueError as error:
        name, _, why = str(error).partition(": ")
        node, path = places[name]
        reader.fail(node, f"{path}.after", why)


def _by_its_own_name(
    reader: Reader, node: yaml.Node, path: str, op: Op, places: Mapping[str, tuple[yaml.Node, str]]
) -> Op:
    """The step, known by a name that no other has; an `id` that somebody gave is not changed."""
    if op.id not in places:
        return op
    given = next((value for key, value in getattr(node, "value", ()) if key.value == "id"), None)
    if given is not None:
        reader.fail(given, f"{path}.id", f"{op.id} is {places[op.id][1]} already")
    number = 2
    while f"{op.id}-{number}" in places:
        number += 1
    return replace(op, id=f"{op.id}-{number}")


def _names(reader: Reader, node: yaml.Node | None, path: str, known: Sequence[str]) -> list[str]:
    names = []
    for number, entry in enumerate(reader.sequence(node, path)):
        name = reader.text(entry, f"{path}[{number}]")
        own = path == "checks" and re.fullmatch(
            r"\w+\.\w+", name
        )  # engine.listens: test_listens in the project's test_engine.py
        if name not in known and not own:
            reader.fail(entry, f"{path}[{number}]", f"no check '{name}'. Known: {', '.join(known)}")
        names.append(name)
    return names


def _each(reader: Reader, keys: Mapping[str, yaml.Node], name: str, kind: Callable[[str], T]) -> list[T]:
    entries = reader.sequence(keys.get(name), name)
    return [reader.value(entry, f"{name}[{number}]", kind) for number, entry in enumerate(entries)]


def _situations(reader: Reader, node: yaml.Node | None, known: Sequence[str]) -> list[str]:
    names = []
    for number, entry in enumerate(reader.sequence(node, "situations")):
        name = reader.text(entry, f"situations[{number}]")
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, 3, 0.4)) or "none"
            reader.fail(entry, f"situations[{number}]", f"no situation '{name}'. The nearest: {near}. All are in docs/situations.md")
        names.append(name)
    return names


def _ids(reader: Reader, node: yaml.Node | None) -> tuple[str, ...]:
    """`scenario: L-01`, `scenario: L-01 L-02` or `scenario: [L-01, L-02]`; each once."""
    if node is None:
        return ()
    listed = isinstance(node, yaml.SequenceNode)
    nodes = reader.sequence(node, "scenario") if listed else [node]
    ids: list[str] = []
    for number, entry in enumerate(nodes):
        path = f"scenario[{number}]" if listed else "scenario"
        for word in reader.text(entry, path).split():
            if word in ids:
                reader.fail(entry, path, f"{word} is given twice")
            ids.append(word)
    return tuple(ids)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise ValueError(f"{text}: must be above 0 and at most 3600 (seconds, a plain number)")
    return seconds
