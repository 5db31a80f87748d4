"""The steps of a runbook: faults, operators' tasks, waits, questions to people and remarks. Pure."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from stormdesk.core import targets
from stormdesk.core.anchors import WITHIN_S, Event
from stormdesk.core.errors import UsageError
from stormdesk.core.expect import CLOCKS, NUMERIC, TESTS, Expectation
from stormdesk.core.fault import Fault
from stormdesk.core.reading import Reader
from stormdesk.core.schedule import EDGES, Act, At, Do, Inject, Note, Op, Pause, Wait
from stormdesk.core.values import Duration, Hold, Value, shown

BUDGET = "rto"  # the parameter with a fault's recovery budget
WHEN = ("id", "at", "after")
KINDS = ("fault", "act", "wait", "pause", "note")
PAUSE_S = 300.0  # how long a question waits for people, where the step does not say


@dataclasses.dataclass(frozen=True)
class Known:
    """What steps may name: the faults, and the operators' tasks."""

    faults: Mapping[str, type[Fault]]
    acts: Sequence[str]


def step(reader: Reader, node: yaml.Node, path: str, lane: str, known: Known, rto_s: float) -> Op:
    """One step. Without an `id` it is known by its fault or task. Raises UsageError with file, line and column."""
    if not isinstance(node, yaml.MappingNode):
        reader.fail(node, path, "expected keys and values")
    kinds = [(str(key.value), value) for key, value in node.value if key.value in KINDS]
    if not kinds:
        reader.fail(node, f"{path}.fault", f"is required. Known: {', '.join(sorted(known.faults))}")
    kind, named = kinds[0]
    if len(kinds) > 1:
        reader.fail(kinds[1][1], path, f"is {kind} already: one step does one thing, not {kinds[1][0]} too")
    do: Do
    match kind:
        case "fault":
            keys, do = _inject(reader, node, named, path, known.faults, rto_s)
        case "act":
            keys, do = _act(reader, node, named, path, known.acts)
        case "wait":
            keys = reader.mapping(node, path, (*WHEN, "wait"))
            do = Wait(float(reader.value(named, f"{path}.wait", Duration)))
        case "pause":
            keys = reader.mapping(node, path, (*WHEN, "pause", "timeout"))
            limit = float(reader.value(keys["timeout"], f"{path}.timeout", Duration)) if "timeout" in keys else PAUSE_S
            do = Pause(reader.text(named, f"{path}.pause"), limit)
        case _:
            keys = reader.mapping(node, path, (*WHEN, "note"))
            do = Note(reader.text(named, f"{path}.note"))
    own = named.value if kind in ("fault", "act") else kind
    name = reader.text(keys["id"], f"{path}.id") if "id" in keys else str(own)
    return Op(name, lane, do, tuple(_when(reader, keys, path)))


def _event(reader: Reader, node: yaml.Node | None, path: str) -> Event | None:
    """`at: venue:accepted:3`, `at: {venue: accepted, nth: 3}`; a time is none."""
    if isinstance(node, yaml.MappingNode):
        document = {str(key.value): reader.text(value, f"{path}.{key.value}") for key, value in node.value}
        try:
            return Event.of(document)
        except UsageError as error:
            reader.fail(node, path, str(error))
    return reader.value(node, path, Event) if node is not None and ":" in str(node.value) else None


def _when(reader: Reader, keys: Mapping[str, yaml.Node], path: str) -> list[At]:
    """`at: 5s` counts from the start, `after: {step: cut, edge: inject, plus: 2s}` from another step; both may be given."""
    found = []
    if "at" in keys and not _event(reader, keys["at"], f"{path}.at"):
        found.append(At(plus_s=float(reader.value(keys["at"], f"{path}.at", Duration))))
    if "after" in keys:
        after = reader.mapping(keys["after"], f"{path}.after", ("step", "edge", "plus"))
        if "step" not in after:
            reader.fail(keys["after"], f"{path}.after.step", "is required: the id of another step")
        edge = reader.text(after["edge"], f"{path}.after.edge") if "edge" in after else "end"
        if edge not in EDGES:
            reader.fail(after["edge"], f"{path}.after.edge", f"must be one of {', '.join(EDGES)}")
        plus_s = float(reader.value(after["plus"], f"{path}.after.plus", Duration)) if "plus" in after else 0.0
        found.append(At(reader.text(after["step"], f"{path}.after.step"), edge, plus_s))
    return found


def _known(reader: Reader, node: yaml.Node, path: str, what: str, known: Sequence[str]) -> str:
    """The name at a node, if it is one of `known`."""
    name = reader.text(node, path)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean: {near[0]}?" if near else f"Known: {', '.join(sorted(known))}"
        reader.fail(node, path, f"no {what} '{name}'. {hint}")
    return name


def _act(
    reader: Reader, node: yaml.Node, named: yaml.Node, path: str, known: Sequence[str]
) -> tuple[dict[str, yaml.Node], Act]:
    keys = reader.mapping(node, path, (*WHEN, "act", "with"))
    task = _known(reader, named, f"{path}.act", "task", known)
    options: dict[str, str] = {}
    if "with" in keys:
        if not isinstance(keys["with"], yaml.MappingNode):
            reader.fail(keys["with"], f"{path}.with", "expected keys and values")
        options = {str(key.value): reader.text(value, f"{path}.with.{key.value}") for key, value in keys["with"].value}
    return keys, Act(task, options)


def _inject(
    reader: Reader, node: yaml.Node, named: yaml.Node, path: str, known: Mapping[str, type[Fault]], rto_s: float
) -> tuple[dict[str, yaml.Node], Inject]:
    kind = known[_known(reader, named, f"{path}.fault", "fault", list(known))]
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    keys = reader.mapping(node, path, (*WHEN, "fault", "host", "for", "ttl", "within", "expect", *fields))
    for needed in ("host", "for"):
        if needed not in keys:
            reader.fail(node, f"{path}.{needed}", "is required")
    values = {key: reader.value(keys[key], f"{path}.{key}", _kind(fields[key])) for key in fields if key in keys}
    if BUDGET in fields:
        values[BUDGET] = _budget(reader, keys.get(BUDGET, named), values.get(BUDGET), path, rto_s)
    return keys, Inject(
        fault=kind(**values),
        hosts=_hosts(reader, keys["host"], f"{path}.host"),
        hold_s=float(reader.value(keys["for"], f"{path}.for", Hold)),
        ttl_s=float(reader.value(keys["ttl"], f"{path}.ttl", Duration)) if "ttl" in keys else None,
        event=_event(reader, keys.get("at"), f"{path}.at"),
        within_s=float(reader.value(keys["within"], f"{path}.within", Duration)) if "within" in keys else WITHIN_S,
        expect=tuple(
            expectation(reader, e, f"{path}.expect[{n}]")
            for n, e in enumerate(reader.sequence(keys.get("expect"), path))
        ),
    )


def _hosts(reader: Reader, node: yaml.Node, path: str) -> tuple[str, ...]:
    """The words of `host`, as --host takes them; which hosts they mean is decided when the step runs."""
    words = tuple(part.strip() for part in reader.text(node, path).split(","))
    for word in words:
        if why := targets.wrong(word):
            reader.fail(node, path, f"{shown(word)}: {why}")
    return words


def _budget(reader: Reader, node: yaml.Node, given: Duration | None, path: str, rto_s: float) -> Duration:
    """A fault with a recovery budget parameter gets the runbook's, so that there is only one."""
    if given is not None and float(given) != rto_s:
        text = f"{given} is another budget than the runbook's rto_s {rto_s:g}. Leave {BUDGET} out"
        reader.fail(node, f"{path}.{BUDGET}", text)
    try:
        return Duration(rto_s)
    except UsageError as error:
        reader.fail(node, f"{path}.fault", f"rto_s {error}")


def _kind(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    if "kind" in field.metadata:
        return field.metadata["kind"]  # type: ignore[no-any-return]
    return type(field.default) if isinstance(field.default, Value) else str


@dataclasses.dataclass(frozen=True)
class Unsaid:
    """What an expectation is where it does not say: which clock, and which key of a health document is what."""

    after: str
    key: str = ""
    value: Any = None


@dataclasses.dataclass(frozen=True)
class What:
    """What is looked at, and what it must be."""

    host: str
    key: str
    test: str
    value: Any


LOOKED_AT = ("health", "metric", "key", *TESTS)


def what(reader: Reader, node: yaml.Node, path: str, keys: Mapping[str, yaml.Node], and_more: str) -> What:
    """The keys LOOKED_AT; `and_more` are the others that are needed. Raises UsageError with file, line and column."""
    tests = [test for test in TESTS if test in keys]
    if ("health" in keys) == ("metric" in keys) or len(tests) != 1 or ("key" in keys) != ("health" in keys):
        reader.fail(node, path, f"needs health (with key) or metric, one of {', '.join(TESTS)}{and_more}")
    host = reader.text(keys["health"], f"{path}.health") if "health" in keys else ""
    key = reader.text(keys["key"] if "key" in keys else keys["metric"], path)
    return What(host, key, tests[0], _plain(reader, keys[tests[0]], f"{path}.{tests[0]}", tests[0]))


def expectation(reader: Reader, node: yaml.Node, path: str, unsaid: Unsaid | None = None) -> Expectation:
    """One expectation; with `unsaid` it may leave that out, and name a step. Raises UsageError with file, line and column."""
    more = ("step",) if unsaid else ()
    keys = reader.mapping(node, path, (*LOOKED_AT, "after", "within", *more))
    short = unsaid and unsaid.key and "health" in keys and not {"key", "metric", *TESTS} & set(keys)
    if unsaid and short:
        seen = What(reader.text(keys["health"], f"{path}.health"), unsaid.key, "is", unsaid.value)
    else:
        seen = what(reader, node, path, keys, ", after and within")
    for needed in ("within",) if unsaid else ("after", "within"):
        if needed not in keys:
            reader.fail(node, f"{path}.{needed}", "is required")
    after = reader.text(keys["after"], f"{path}.after") if "after" in keys or not unsaid else unsaid.after
    if after not in CLOCKS:
        reader.fail(keys["after"], f"{path}.after", f"must be one of {', '.join(CLOCKS)}")
    within_s = float(reader.value(keys["within"], f"{path}.within", Duration))
    return Expectation(seen.host, seen.key, seen.test, seen.value, after, within_s)


def _plain(reader: Reader, node: yaml.Node, path: str, test: str) -> Any:
    text = reader.text(node, path)
    if test in NUMERIC:
        return reader.value(node, path, float)
    return {"true": True, "false": False}.get(text, text)
