"""Game days: a Markdown file, prose for people and exactly one fenced `yaml` block for the runner. Pure.

Every error names file, line and column, the bad value, and valid ones. Unknown keys, duplicate keys, anchors and aliases are
errors: a typo must not become another fault.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import yaml

from stormdesk.core import targets
from stormdesk.core.errors import UsageError
from stormdesk.core.expect import CLOCKS, NUMERIC, TESTS, Expectation
from stormdesk.core.fault import Fault
from stormdesk.core.values import Duration, Hold, Value, shown

T = TypeVar("T")
MAX_BYTES = 1 << 20
TOP = ("title", "scenario", "hypothesis", "owner", "rto_s", "steady_state", "steps", "checks")
BUDGET = "rto"  # the parameter with a fault's recovery budget
STEP = ("id", "fault", "host", "for", "ttl", "expect")


@dataclass(frozen=True)
class RunbookStep:
    """One fault on some hosts, held for `hold_s`, and what is expected during and after it. `hosts` are words of --host."""

    id: str
    fault: Fault
    hosts: tuple[str, ...]
    hold_s: float
    ttl_s: float | None
    expect: tuple[Expectation, ...]


@dataclass(frozen=True)
class Runbook:
    """A game day. `rto_s` is the recovery budget, and overrides those of the faults.

    `checks` must be held at the end; empty means all that apply. `engine.listens` is a project's own check.
    """

    title: str
    scenario: str
    hypothesis: str
    owner: str
    rto_s: float
    steady_state: tuple[str, ...]
    steps: tuple[RunbookStep, ...]
    checks: tuple[str, ...]
    prose: str


class _Reader:
    """The YAML nodes of one file, with their positions."""

    def __init__(self, origin: str, first_line: int, lines: Sequence[str]) -> None:
        self.origin = origin
        self.first_line = first_line
        self.lines = lines

    def fail(self, node: yaml.Node, path: str, text: str) -> NoReturn:
        mark = node.start_mark
        shown = self.lines[mark.line] if mark.line < len(self.lines) else ""
        raise UsageError(
            f"{self.origin}:{self.first_line + mark.line}:{mark.column + 1} {path}: {text}\n"
            f"  {self.first_line + mark.line:>4} | {shown}\n       | {' ' * mark.column}^"
        )

    def mapping(self, node: yaml.Node, path: str, known: Sequence[str]) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, path or "the block", "expected keys and values")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                self.fail(key, path, f"{name} is given twice")
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                self.fail(
                    key,
                    path,
                    f"unknown key '{name}'. " + (f"Did you mean: {near[0]}?" if near else f"Known: {', '.join(known)}"),
                )
            found[name] = value
        return found

    def sequence(self, node: yaml.Node | None, path: str) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.fail(node, path, "expected a list")
        return list(node.value)

    def text(self, node: yaml.Node, path: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not str(node.value).strip():
            self.fail(node, path, "expected a text")
        return str(node.value).strip()

    def value(self, node: yaml.Node, path: str, kind: Callable[[str], T]) -> T:
        text = self.text(node, path)
        try:
            return kind(text)
        except (UsageError, ValueError) as error:
            self.fail(node, path, f"{error}")


def parse(text: str, origin: str, catalogue: Mapping[str, type[Fault]], checks: Sequence[str]) -> Runbook:
    """Read a runbook; `checks` are the names allowed in its `checks`. Raises UsageError with file, line and column."""
    if len(text.encode()) > MAX_BYTES:
        raise UsageError(f"{origin}: larger than {MAX_BYTES} bytes: not a runbook")
    block, first_line, prose = _block(text, origin)
    reader = _Reader(origin, first_line, block.splitlines())
    root = _compose(block, reader)
    keys = reader.mapping(root, "", TOP)
    for needed in ("title", "rto_s", "steps"):
        if needed not in keys:
            reader.fail(root, needed, "is required")
    rto_s = reader.value(keys["rto_s"], "rto_s", _seconds)
    steps = [
        _step(reader, node, f"steps[{number}]", catalogue, rto_s)
        for number, node in enumerate(reader.sequence(keys["steps"], "steps"))
    ]
    if not steps:
        reader.fail(keys["steps"], "steps", "at least one step is required")

    def optional(name: str) -> str:
        return reader.text(keys[name], name) if name in keys else ""

    return Runbook(
        title=reader.text(keys["title"], "title"),
        scenario=optional("scenario"),
        hypothesis=optional("hypothesis"),
        owner=optional("owner"),
        rto_s=rto_s,
        steady_state=tuple(_names(reader, keys.get("steady_state"), "steady_state", ("steady",))) or ("steady",),
        steps=tuple(steps),
        checks=tuple(_names(reader, keys.get("checks"), "checks", checks)),
        prose=prose,
    )


def _block(text: str, origin: str) -> tuple[str, int, str]:
    found = list(re.finditer(r"^```yaml[ \t]*\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL))
    if len(found) != 1:
        raise UsageError(f"{origin}: a runbook has exactly one fenced ```yaml block, this one has {len(found)}")
    first_line = text[: found[0].start(1)].count("\n") + 1
    return found[0][1], first_line, (text[: found[0].start()] + text[found[0].end() :]).strip()


def _compose(block: str, reader: _Reader) -> yaml.Node:
    try:
        for event in yaml.parse(block, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                line = reader.first_line + (event.start_mark.line if event.start_mark else 0)
                raise UsageError(f"{reader.origin}:{line}: anchors and aliases are not allowed in a runbook")
        root = yaml.compose(block, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = reader.first_line + (mark.line if mark else 0)
        raise UsageError(
            f"{reader.origin}:{line}:{mark.column + 1 if mark else 1} not YAML: {error.problem}"
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{reader.origin}: not YAML: {error}") from error
    if root is None:
        raise UsageError(f"{reader.origin}: the yaml block is empty")
    return root


def _step(
    reader: _Reader, node: yaml.Node, path: str, catalogue: Mapping[str, type[Fault]], rto_s: float
) -> RunbookStep:
    if not isinstance(node, yaml.MappingNode):
        reader.fail(node, path, "expected keys and values")
    name_node = next((value for key, value in node.value if key.value == "fault"), None)
    if name_node is None:
        reader.fail(node, f"{path}.fault", f"is required. Known: {', '.join(sorted(catalogue))}")
    name = reader.text(name_node, f"{path}.fault")
    if name not in catalogue:
        near = difflib.get_close_matches(name, catalogue, 1)
        reader.fail(
            name_node,
            f"{path}.fault",
            f"no fault '{name}'. "
            + (f"Did you mean: {near[0]}?" if near else f"Known: {', '.join(sorted(catalogue))}"),
        )
    kind = catalogue[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    keys = reader.mapping(node, path, (*STEP, *fields))
    for needed in ("host", "for"):
        if needed not in keys:
            reader.fail(node, f"{path}.{needed}", "is required")
    values = {key: reader.value(keys[key], f"{path}.{key}", _kind(fields[key])) for key in fields if key in keys}
    if BUDGET in fields:
        values[BUDGET] = _budget(reader, keys.get(BUDGET, name_node), values.get(BUDGET), path, rto_s)
    return RunbookStep(
        id=reader.text(keys["id"], f"{path}.id") if "id" in keys else name,
        fault=kind(**values),
        hosts=_hosts(reader, keys["host"], f"{path}.host"),
        hold_s=float(reader.value(keys["for"], f"{path}.for", Hold)),
        ttl_s=float(reader.value(keys["ttl"], f"{path}.ttl", Duration)) if "ttl" in keys else None,
        expect=tuple(
            _expectation(reader, e, f"{path}.expect[{n}]")
            for n, e in enumerate(reader.sequence(keys.get("expect"), path))
        ),
    )


def _hosts(reader: _Reader, node: yaml.Node, path: str) -> tuple[str, ...]:
    """The words of `host`, as --host takes them; which hosts they mean is decided when the step runs."""
    words = tuple(part.strip() for part in reader.text(node, path).split(","))
    for word in words:
        if why := targets.wrong(word):
            reader.fail(node, path, f"{shown(word)}: {why}")
    return words


def _budget(reader: _Reader, node: yaml.Node, given: Duration | None, path: str, rto_s: float) -> Duration:
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


def _expectation(reader: _Reader, node: yaml.Node, path: str) -> Expectation:
    keys = reader.mapping(node, path, ("health", "metric", "key", "after", "within", *TESTS))
    tests = [test for test in TESTS if test in keys]
    if ("health" in keys) == ("metric" in keys) or len(tests) != 1 or ("key" in keys) != ("health" in keys):
        reader.fail(node, path, f"needs health (with key) or metric, one of {', '.join(TESTS)}, after and within")
    for needed in ("after", "within"):
        if needed not in keys:
            reader.fail(node, f"{path}.{needed}", "is required")
    after = reader.text(keys["after"], f"{path}.after")
    if after not in CLOCKS:
        reader.fail(keys["after"], f"{path}.after", f"must be one of {', '.join(CLOCKS)}")
    return Expectation(
        host=reader.text(keys["health"], f"{path}.health") if "health" in keys else "",
        key=reader.text(keys["key"] if "key" in keys else keys["metric"], path),
        test=tests[0],
        value=_plain(reader, keys[tests[0]], f"{path}.{tests[0]}", tests[0]),
        after=after,
        within_s=float(reader.value(keys["within"], f"{path}.within", Duration)),
    )


def _plain(reader: _Reader, node: yaml.Node, path: str, test: str) -> Any:
    text = reader.text(node, path)
    if test in NUMERIC:
        return reader.value(node, path, float)
    return {"true": True, "false": False}.get(text, text)


def _names(reader: _Reader, node: yaml.Node | None, path: str, known: Sequence[str]) -> list[str]:
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


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise ValueError(f"{text}: must be above 0 and at most 3600 (seconds, a plain number)")
    return seconds
