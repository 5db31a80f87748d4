"""Parses the output of `ansible-inventory --list` and `ansible-config dump`. Pure.

Only Ansible reads Ansible's files (cli/ansible_cli.py). Each host becomes the ssh command that Ansible would use for it;
stormdesk/cli/inventories.py describes the next step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from stormdesk.cli.inventories import (
    FIELDS,
    ROLE,
    Listing,
    Named,
    Reveal,
    Way,
    decoded,
    fields,
    listing,
    mapping,
    split,
)
from stormdesk.core.errors import UsageError
from stormdesk.core.values import shown

UNSAFE, VAULT = "__ansible_unsafe", "__ansible_vault"
BY_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh")
SETTINGS = ("remote_user", "port", "private_key_file", "ssh_args", "ssh_common_args", "ssh_extra_args")
MAX_DEPTH = 200  # of nested groups
ENVIRONMENT, EXPIRES_AT = "stormdesk_environment", "stormdesk_expires_at"

Values = Mapping[str, Any]


def is_listing(text: str) -> bool:
    """Whether it is output of `ansible-inventory --list`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("_meta"), dict) and "hostvars" in document["_meta"]


def parse(text: str, origin: str, settings: Values, reveal: Reveal) -> Listing:
    """The hosts in the output of `ansible-inventory --list`; a problem with one of them is in its `why`.

    `settings` are the values of SETTINGS from Ansible's configuration, `reveal` decrypts vault values. Raises UsageError when it is not
    a listing, has no usable host, or does not name its environment.
    """
    document = mapping(decoded(text, origin), "the inventory", origin)
    variables = mapping(mapping(document.pop("_meta", None), "_meta", origin).get("hostvars"), "hostvars", origin)
    hosts: list[Named] = []
    environment = expires_at = ""
    for name, groups in sorted(_places(document, variables, origin).items()):
        where = f"{origin}: host {shown(name)}"
        try:
            values = mapping(variables.get(name), name, origin)
            own = _text(values, where, (ENVIRONMENT,), reveal)
            expires_at = expires_at or _text(values, where, (EXPIRES_AT,), reveal)
            hosts.append(_host(name, values, groups, settings, where, reveal))
        except UsageError as error:
            own = ""
            hosts.append(Named(name=name, about={"role": _role(groups)}, why=str(error)))
        environment = environment or own
        if own and environment != own:
            raise UsageError(f"{origin}: {shown(name)} is of environment {shown(own)}, not {shown(environment)}")
    return listing(hosts, environment, expires_at, origin, f"the variable {ENVIRONMENT}, for all hosts")


def configured(text: str) -> Values:
    """The SETTINGS in the output of `ansible-config dump --only-changed -t connection --format json`. Raises UsageError."""
    plugins = _dicts(decoded(text, "ansible-config dump"))
    options = [option for plugin in plugins for option in _dicts(plugin.get("ssh"))]
    return {name: option.get("value") for option in options if (name := str(option.get("name"))) in SETTINGS}


def _dicts(value: object) -> Sequence[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _host(name: str, values: Values, groups: Sequence[str], settings: Values, where: str, reveal: Reveal) -> Named:
    _way(name, values, settings, where, _hidden)  # finds mistakes now; encrypted values stay encrypted
    own: dict[str, object] = {}
    for key in FIELDS:
        value = _opened(raw := values.get(f"stormdesk_{key}"), f"{where}: stormdesk_{key}", reveal)
        if "{{" in json.dumps(raw):
            raise _template(where, f"stormdesk_{key}", value)
        if value is not None:
            own[key] = decoded(value, where) if isinstance(value, str) and key != "role" else value
    way = partial(_way, name, values, settings, where, reveal)
    return Named(name=name, way=way, about={"role": _role(groups), **fields(own, where)})


def _way(name: str, values: Values, settings: Values, where: str, reveal: Reveal) -> Way:
    """How Ansible would call ssh for a host: its options in Ansible's order, since ssh takes the first of each."""

    def value(*keys: str, setting: str = "") -> str:
        return _text(values, where, keys, reveal) or _text(settings, "Ansible's configuration", (setting,), reveal)

    if (connection := value("ansible_connection") or "ssh") not in BY_SSH:
        raise UsageError(f"{where}: ansible_connection {shown(connection)}: only hosts that are reached by ssh")
    words = split(value("ansible_ssh_args", setting="ssh_args"), where)
    if port := value("ansible_port", "ansible_ssh_port", setting="port"):
        words += ["-o", f"Port={port}"]
    if key := value("ansible_ssh_private_key_file", "ansible_private_key_file", setting="private_key_file"):
        words += ["-o", f'IdentityFile="{key}"']
    if user := value("ansible_user", "ansible_ssh_user", setting="remote_user"):
        words += ["-o", f"User={user}"]
    for which in ("ssh_common_args", "ssh_extra_args"):
        words += split(value(f"ansible_{which}", setting=which), where)
    return Way(target=value("ansible_host", "ansible_ssh_host") or name, words=tuple(words))


def _text(values: Values, where: str, keys: Sequence[str], reveal: Reveal) -> str:
    """The first of these variables that is set, as text. Raises UsageError for a template, or a value that is not text."""
    for key in keys:
        value = _opened(values.get(key), f"{where}: {key}", reveal)
        if value in (None, ""):
            continue
        if isinstance(value, dict | list):
            raise UsageError(f"{where}: {key} {shown(json.dumps(value))}: expected a text or a number")
        if isinstance(values[key], str) and ("{{" in value or "{%" in value):
            raise _template(where, key, value)
        return str(value)
    return ""


def _opened(value: Any, where: str, reveal: Reveal) -> Any:
    try:
        return _plain(value, reveal)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _plain(value: Any, reveal: Reveal) -> Any:
    """A value without Ansible's wrappers of unsafe and encrypted values."""
    if isinstance(value, list):
        return [_plain(item, reveal) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {UNSAFE}:
        return value[UNSAFE]
    if set(value) == {VAULT}:
        return reveal(str(value[VAULT]))
    return {key: _plain(item, reveal) for key, item in value.items()}


def _template(where: str, key: str, value: object) -> UsageError:
    return UsageError(
        f"{where}: {key} {shown(str(value))}: a template, which ansible-inventory does not fill in. Give it a plain value"
    )


def _hidden(_: str) -> str:
    """The stand-in for an encrypted value that is not needed yet."""
    return ""


# ---- groups ----------------------------------------------------------------------------------------------------------


def _places(groups: Values, variables: Values, origin: str) -> dict[str, list[str]]:
    """The groups of each host except `all` and `ungrouped`, innermost last."""
    members: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {}
    for name, group in groups.items():
        body = mapping(group, f"group {shown(name)}", origin)
        members[name] = _names(body.get("hosts"), f"hosts of {shown(name)}", origin)
        for child in _names(body.get("children"), f"children of {shown(name)}", origin):
            above.setdefault(child, []).append(name)
    depths: dict[str, int] = {}
    for name in members:
        _depth(name, above, depths, ())
    within: dict[str, set[str]] = {name: set() for name in variables}
    for name, hosts in members.items():
        lineage = _lineage(name, above) - {"all", "ungrouped"}
        for host in hosts:
            within.setdefault(host, set()).update(lineage)
    return {host: sorted(found, key=lambda name: (depths.get(name, 0), name)) for host, found in within.items()}


def _depth(name: str, above: Mapping[str, Sequence[str]], depths: dict[str, int], below: tuple[str, ...]) -> int:
    if name in below or len(below) > MAX_DEPTH:
        raise UsageError(f"group {shown(name)} is its own child, or more than {MAX_DEPTH} groups deep")
    if name not in depths:
        depths[name] = max((_depth(up, above, depths, (*below, name)) + 1 for up in above.get(name, ())), default=0)
    return depths[name]


def _lineage(name: str, above: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        if (one := todo.pop()) not in found:
            found.add(one)
            todo += above.get(one, ())
    return found


def _names(value: object, what: str, origin: str) -> list[str]:
    if value is not None and not isinstance(value, list | dict):
        raise UsageError(f"{origin}: {what}: expected a list of names, not {shown(str(value))}")
    return [str(name) for name in value or ()]


def _role(groups: Sequence[str]) -> str:
    return groups[-1] if groups else ROLE
