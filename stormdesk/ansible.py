"""Ansible inventories, read: INI, YAML, JSON, and what `ansible-inventory --list` prints. Pure.

Each host becomes the ssh command that Ansible would use for it; stormdesk/inventories.py says how it goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stormdesk.errors import UsageError
from stormdesk.inventories import FIELDS, ROLE, Listing, Named, decoded, fields, listing, mapping, split
from stormdesk.values import shown


def parse(text: str, origin: str) -> Listing:
    """The hosts of an Ansible inventory: INI, YAML, JSON, or what `ansible-inventory --list` prints."""
    groups, variables = _ansible_groups(text, origin)
    places = _places(groups)
    hosts: list[Named] = []
    environment = expires_at = ""
    for name, path in sorted(places.items()):
        values: dict[str, Any] = {}
        for group in path:
            values |= groups[group].variables
        values |= variables.get(name, {})
        for group in path:
            values |= groups[group].hosts.get(name, {})
        hosts.append(_ansible_host(name, values, path, origin))
        environment = environment or str(values.get("stormdesk_environment", ""))
        if environment != values.get("stormdesk_environment", environment):
            raise UsageError(f"{origin}: {name} is of environment {values['stormdesk_environment']}, not {environment}")
        expires_at = expires_at or str(values.get("stormdesk_expires_at", ""))
    way = "the variable stormdesk_environment, for all hosts"
    return listing(hosts, environment, expires_at, origin, way)


@dataclass
class _Group:
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)


def _ansible_groups(text: str, origin: str) -> tuple[dict[str, _Group], Mapping[str, dict[str, Any]]]:
    """Groups by name, and variables of hosts that stand apart from them (`_meta`)."""
    import yaml  # only who reads such a file pays for it

    document: object = None
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if origin.endswith((".yaml", ".yml", ".json")):
            raise UsageError(f"{origin}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):  # as Ansible does: what is no YAML mapping is INI
        return _ini(text, origin), {}
    groups: dict[str, _Group] = {}
    document = mapping(document, "the inventory", origin)
    meta = mapping(document.pop("_meta", None), "_meta", origin)
    for name, body in document.items():
        _nested(str(name), body, groups, origin)
    hostvars = mapping(meta.get("hostvars"), "hostvars", origin)
    return groups, {str(name): mapping(found, str(name), origin) for name, found in hostvars.items()}


def _nested(name: str, body: object, groups: dict[str, _Group], origin: str) -> None:
    body = mapping(body, f"group {name}", origin)
    group = groups.setdefault(name, _Group())
    for pattern, values in _listed(body.get("hosts"), f"hosts of {name}", origin).items():
        for host in _expanded(pattern):
            group.hosts.setdefault(host, {}).update(mapping(values, host, origin))
    group.variables |= mapping(body.get("vars"), f"vars of {name}", origin)
    for child, inner in _listed(body.get("children"), f"children of {name}", origin).items():
        group.children.append(child)
        _nested(child, inner, groups, origin)


def _listed(value: object, what: str, origin: str) -> dict[str, Any]:
    return dict.fromkeys(map(str, value)) if isinstance(value, list) else mapping(value, what, origin)


def _ini(text: str, origin: str) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    name, kind = "ungrouped", ""
    for number, line in enumerate(text.splitlines(), 1):
        where, plain = f"{origin}:{number}", line.strip()
        if not plain or plain[0] in "#;":
            continue
        if found := re.fullmatch(r"\[([^\]:]+)(?::(\w+))?\]", plain):
            name, kind = found[1], found[2] or ""
            if kind not in ("", "vars", "children"):
                raise UsageError(f"{where}: [{name}:{kind}]: there is [{name}], [{name}:vars] and [{name}:children]")
            groups.setdefault(name, _Group())
            continue
        group = groups.setdefault(name, _Group())
        if kind == "vars":
            key, _, value = plain.partition("=")
            group.variables[key.strip()] = (
                " ".join(split(value, where)) if value.strip()[:1] in "'\"" else value.strip()
            )
        elif kind == "children":
            group.children.append(plain)
            groups.setdefault(plain, _Group())
        else:
            first, *pairs = split(plain, where)
            values = dict(pair.partition("=")[::2] for pair in pairs)
            for host in _expanded(first):
                group.hosts.setdefault(host, {}).update(values)
    return groups


def _expanded(pattern: str) -> Iterator[str]:
    """`web[01:03]` is web01, web02, web03; `db-[a:c]` three letters; `[0:8:2]` takes each second."""
    found = re.search(r"\[(\w+):(\w+)(?::(\d+))?\]", pattern)
    if not found:
        yield pattern
        return
    low, high, step = found[1], found[2], int(found[3] or 1) or 1
    if low.isdigit() and high.isdigit():
        texts = [str(n).zfill(len(low)) for n in range(int(low), min(int(high), int(low) + 9999) + 1, step)]
    else:
        texts = [chr(n) for n in range(ord(low[0]), ord(high[0]) + 1, step)]
    for text in texts:
        yield from _expanded(pattern[: found.start()] + text + pattern[found.end() :])


def _places(groups: Mapping[str, _Group]) -> dict[str, list[str]]:
    """For each host its groups, the outermost first: what a later one says counts more."""
    depth = dict.fromkeys(groups, 1) | {"all": 0}
    for _ in groups:
        for name, group in groups.items():
            for child in group.children:
                depth[child] = max(depth[child], depth[name] + 1)
                if depth[child] > len(groups) + 1:
                    raise UsageError(f"group {child} is its own child")
    within: dict[str, set[str]] = {}
    for name, group in groups.items():
        for host in group.hosts:
            within.setdefault(host, set()).add(name)
    for above in within.values():
        for _ in groups:
            above |= {name for name, group in groups.items() if name == "all" or above & set(group.children)}
    return {host: sorted(above, key=lambda name: (depth[name], name)) for host, above in within.items()}


def _ansible_host(name: str, values: Mapping[str, Any], path: Sequence[str], origin: str) -> Named:
    where = f"{origin}: host {shown(name)}"
    if (connection := str(values.get("ansible_connection", "ssh"))) not in ("ssh", "smart", "paramiko"):
        raise UsageError(f"{where}: ansible_connection {shown(connection)}: only hosts that are reached by ssh")

    def value(*keys: str) -> str:
        text = next((str(values[key]) for key in keys if values.get(key) not in (None, "")), "")
        if "{{" in text:
            raise UsageError(f"{where}: {keys[0]} {shown(text)}: a template, which only Ansible can fill in")
        return text

    words = split(value("ansible_ssh_args"), where)
    if port := value("ansible_port", "ansible_ssh_port"):
        words += ["-o", f"Port={port}"]
    if key := value("ansible_ssh_private_key_file", "ansible_private_key_file"):
        words += ["-o", f'IdentityFile="{key}"']
    if user := value("ansible_user", "ansible_ssh_user"):
        words += ["-o", f"User={user}"]
    words += split(value("ansible_ssh_common_args"), where) + split(value("ansible_ssh_extra_args"), where)
    own = {name: values[f"stormdesk_{name}"] for name in FIELDS if f"stormdesk_{name}" in values}
    own = {key: decoded(text, where) if isinstance(text, str) and key != "role" else text for key, text in own.items()}
    groups = [group for group in path if group not in ("all", "ungrouped")]
    about = {"role": groups[-1] if groups else ROLE, **fields(own, where)}
    return Named(name=name, target=value("ansible_host", "ansible_ssh_host") or name, words=tuple(words), about=about)
