"""Names for targets in a runbook: `roles`, which `host` and `health` may use instead of hosts. Pure.

roles: {victim: "one:role:trader", witness: trader-b}
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from stormdesk.core import targets
from stormdesk.core.reading import Reader, rewritten

NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
HERE = ("host", "health")  # the keys whose texts are targets


def filled(reader: Reader, keys: Mapping[str, yaml.Node]) -> Mapping[str, yaml.Node]:
    """The keys with what the roles stand for in their places. Raises UsageError with file, line and column."""
    if "roles" not in keys:
        return keys
    roles = _roles(reader, keys["roles"])
    used: set[str] = set()
    found = {name: node if name == "roles" else _in(reader, node, roles, used) for name, node in keys.items()}
    for name in roles:
        if name not in used:
            reader.fail(keys["roles"], f"roles.{name}", "is not used: no host and no health has that name")
    return found


def _roles(reader: Reader, node: yaml.Node) -> dict[str, str]:
    if not isinstance(node, yaml.MappingNode):
        reader.fail(node, "roles", "expected names with the targets that they stand for")
    roles: dict[str, str] = {}
    for key, value in node.value:
        name = str(key.value)
        if not NAME.fullmatch(name) or name == targets.LEADER:
            reader.fail(key, "roles", f"'{name}' is no name of a role: small letters, digits, _ and -, e.g. victim")
        if name in roles:
            reader.fail(key, "roles", f"{name} is given twice")
        roles[name] = reader.text(value, f"roles.{name}")
        for word in roles[name].split(","):
            if why := targets.wrong(word.strip()):
                reader.fail(value, f"roles.{name}", why)
    return roles


def _in(reader: Reader, node: yaml.Node, roles: Mapping[str, str], used: set[str]) -> yaml.Node:
    """A copy with the targets in the place of the roles' names."""

    def named(scalar: yaml.ScalarNode, _: str, key: str) -> yaml.Node:
        if key not in HERE:
            return scalar
        words = [word.strip() for word in str(scalar.value).split(",")]
        used.update(word for word in words if word in roles)
        text = ",".join(roles.get(word, word) for word in words)
        if key == "health" and text != scalar.value and not targets.HOST_NAME.fullmatch(text):
            reader.fail(scalar, "health", f"{scalar.value} is {text}: health is asked of one host, by its name")
        return yaml.ScalarNode(scalar.tag, text, scalar.start_mark, scalar.end_mark, scalar.style)

    return rewritten(node, "", named)
