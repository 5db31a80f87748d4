"""One runbook in several variants: its `matrix`, whose values stand for `${name}` in all other texts of the file. Pure.

matrix: {for: [3s, 10s, 30s]}           # each value of each name with all others
matrix:                                 # or row by row
  - {scenario: N-04, delay: 100ms, within: 10s}
  - {scenario: N-07, delay: 5s, within: 30s, name: timeout}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import yaml

from stormdesk.core.reading import Reader, rewritten

MOST = 100  # variants of one runbook
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
VARIANT = re.compile(r"[^\s\[\]]{1,60}")
USED = re.compile(r"\$\{([^{}]*)\}")
OWN = ("scenario", "name")  # of a row: its scenario, and what the variant is called
FIXED = ("matrix", "scenario")  # texts in which nothing is replaced


@dataclass(frozen=True)
class Variant:
    """The keys of one variant; `name` is "" for a runbook that has only one."""

    name: str
    keys: Mapping[str, yaml.Node]


@dataclass(frozen=True)
class _Row:
    name: str
    values: Mapping[str, str]
    node: yaml.Node
    scenario: yaml.Node | None = None


def variants(reader: Reader, keys: Mapping[str, yaml.Node]) -> list[Variant]:
    """The variants in the order of the file. Raises UsageError with file, line and column."""
    if "matrix" not in keys:
        return [Variant("", keys)]
    matrix = keys["matrix"]
    listed = isinstance(matrix, yaml.SequenceNode)
    rows = _listed(reader, matrix) if listed else _crossed(reader, matrix)
    if not 1 <= len(rows) <= MOST:
        reader.fail(matrix, "matrix", f"makes {len(rows)} variants: must be 1 to {MOST}")
    for number, row in enumerate(rows):
        if not VARIANT.fullmatch(row.name):
            reader.fail(
                row.node, "matrix", f"'{row.name}' is no name for a variant: 1 to 60 characters, no blank, no [ ]"
            )
        if row.name in [before.name for before in rows[:number]]:
            reader.fail(row.node, "matrix", f"two variants are called {row.name}")
    used: set[str] = set()
    found = [Variant(row.name, dict(_keys(reader, keys, row, used))) for row in rows]
    for name in rows[0].values:
        if name not in used:
            reader.fail(matrix, f"matrix.{name}", f"is not used: there is no ${{{name}}} anywhere")
    if not listed:
        found = _with_scenarios(reader, keys.get("scenario"), found)
    return found


def _crossed(reader: Reader, node: yaml.Node) -> list[_Row]:
    if not isinstance(node, yaml.MappingNode):
        reader.fail(node, "matrix", "expected names with their values, or a list of rows")
    axes: dict[str, list[str]] = {}
    for key, values in node.value:
        name = _name(reader, key, axes)
        if name in OWN:
            reader.fail(key, "matrix", f"{name} belongs to a row of a list, not to the values of a name")
        path = f"matrix.{name}"
        axes[name] = [reader.text(each, f"{path}[{n}]") for n, each in enumerate(reader.sequence(values, path))]
    every = product(*axes.values()) if axes else ()
    return [_Row("-".join(chosen), dict(zip(axes, chosen, strict=True)), node) for chosen in every]


def _listed(reader: Reader, node: yaml.Node) -> list[_Row]:
    rows: list[_Row] = []
    for number, entry in enumerate(reader.sequence(node, "matrix")):
        path = f"matrix[{number}]"
        if not isinstance(entry, yaml.MappingNode):
            reader.fail(entry, path, "expected names with their values")
        cells: dict[str, yaml.Node] = {}
        for key, value in entry.value:
            cells[_name(reader, key, cells)] = value
        values = {name: reader.text(cell, f"{path}.{name}") for name, cell in cells.items() if name not in OWN}
        if rows and set(values) != set(rows[0].values):
            reader.fail(entry, path, f"must have the names of the first row: {', '.join(rows[0].values)}")
        name = reader.text(cells["name"], f"{path}.name") if "name" in cells else "-".join(values.values())
        rows.append(_Row(name, values, entry, cells.get("scenario")))
    return rows


def _name(reader: Reader, key: yaml.Node, known: Mapping[str, object]) -> str:
    name = str(key.value)
    if not NAME.fullmatch(name):
        reader.fail(key, "matrix", f"'{name}' is no name: letters, digits, _ and -, e.g. delay")
    if name in known:
        reader.fail(key, "matrix", f"{name} is given twice")
    return name


def _keys(reader: Reader, keys: Mapping[str, yaml.Node], row: _Row, used: set[str]) -> Iterator[tuple[str, yaml.Node]]:
    for name, node in keys.items():
        if name not in FIXED:
            yield name, _filled(reader, node, name, row.values, used)
    if row.scenario is not None or "scenario" in keys:
        yield "scenario", row.scenario or keys["scenario"]


def _with_scenarios(reader: Reader, node: yaml.Node | None, found: Sequence[Variant]) -> list[Variant]:
    """A list of scenarios has one for each variant; a text is that of all."""
    if not isinstance(node, yaml.SequenceNode):
        return list(found)
    if len(node.value) != len(found):
        names = ", ".join(each.name for each in found)
        reader.fail(node, "scenario", f"has {len(node.value)} for {len(found)} variants: {names}. Give each its own")
    return [Variant(each.name, {**each.keys, "scenario": own}) for each, own in zip(found, node.value, strict=True)]


def _filled(reader: Reader, node: yaml.Node, path: str, values: Mapping[str, str], used: set[str]) -> yaml.Node:
    """A copy of the node with the values in the place of their names."""

    def filled(scalar: yaml.ScalarNode, where: str, _: str) -> yaml.Node:
        names = USED.findall(scalar.value)
        for name in names:
            if name not in values:
                reader.fail(scalar, where, f"no '{name}' in the matrix. Known: {', '.join(values)}")
        used.update(names)
        text = USED.sub(lambda found: values[found[1]], scalar.value)
        return yaml.ScalarNode(scalar.tag, text, scalar.start_mark, scalar.end_mark, scalar.style)

    return rewritten(node, path, filled)
