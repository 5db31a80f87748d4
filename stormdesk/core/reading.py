"""A Markdown file with one YAML block, read with positions: every error names file, line and column, the bad value, and valid
ones. Unknown keys, duplicate keys, anchors and aliases are errors: a typo must not become another value. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

import yaml

from stormdesk.core.errors import UsageError
from stormdesk.core.values import printable

T = TypeVar("T")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is many times as fast, where it is there
MOST_SAID, MOST_SHOWN = 800, 200  # characters of an error, and of the line that it is about
MAX_DEPTH = 20  # each level more makes the parser slower for all that follows


class Reader:
    """The YAML nodes of one file, with their positions."""

    def __init__(self, origin: str, first_line: int, lines: Sequence[str]) -> None:
        self.origin = origin
        self.first_line = first_line
        self.lines = lines

    def fail(self, node: yaml.Node, path: str, text: str) -> NoReturn:
        mark = node.start_mark
        line = self.lines[mark.line] if mark.line < len(self.lines) else ""
        start = max(0, mark.column - MOST_SHOWN // 2)
        shown = printable(line[start : start + MOST_SHOWN])
        said = "\n".join(map(printable, (text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}...").split("\n")))
        raise UsageError(
            f"{self.origin}:{self.first_line + mark.line}:{mark.column + 1} {printable(path[:MOST_SHOWN])}: {said}\n"
            f"  {self.first_line + mark.line:>4} | {shown}\n       | {' ' * (mark.column - start)}^"
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


def rewritten(
    node: yaml.Node, path: str, scalar: Callable[[yaml.ScalarNode, str, str], yaml.Node], key: str = ""
) -> yaml.Node:
    """A copy of the node with each scalar as `scalar(node, path, key)` has it; `key` is that of the mapping that the scalar is a value
    of, else "". Marks stay, so that errors name the place in the file."""
    match node:
        case yaml.ScalarNode():
            return scalar(node, path, key)
        case yaml.SequenceNode():
            entries = [rewritten(each, f"{path}[{n}]", scalar) for n, each in enumerate(node.value)]
            return yaml.SequenceNode(node.tag, entries, node.start_mark, node.end_mark, node.flow_style)
    assert isinstance(node, yaml.MappingNode), "there is no fourth kind"
    pairs = [(name, rewritten(value, f"{path}.{name.value}", scalar, str(name.value))) for name, value in node.value]
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark, node.flow_style)


def block(text: str, origin: str) -> tuple[str, int, str]:
    found = list(re.finditer(r"^```yaml[ \t]*\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL))
    if len(found) != 1:
        raise UsageError(f"{origin}: a runbook has exactly one fenced ```yaml block, this one has {len(found)}")
    first_line = text[: found[0].start(1)].count("\n") + 1
    return found[0][1], first_line, (text[: found[0].start()] + text[found[0].end() :]).strip()


def compose(block: str, reader: Reader) -> yaml.Node:
    depth = 0
    try:
        for event in yaml.parse(block, Loader=LOADER):
            line = reader.first_line + (event.start_mark.line if event.start_mark else 0)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise UsageError(f"{reader.origin}:{line}: nested more than {MAX_DEPTH} deep, which no runbook is")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise UsageError(f"{reader.origin}:{line}: anchors and aliases are not allowed in a runbook")
        root = yaml.compose(block, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = reader.first_line + (mark.line if mark else 0)
        shown = reader.lines[mark.line] if mark and mark.line < len(reader.lines) else ""
        hint = ". Inside { } a ${name} needs quotes" if "${" in shown else ""
        raise UsageError(
            f"{reader.origin}:{line}:{mark.column + 1 if mark else 1} not YAML: {error.problem}{hint}"
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{reader.origin}: not YAML: {error}") from error
    if root is None:
        raise UsageError(f"{reader.origin}: the yaml block is empty")
    return root
