"""Which Debian packages something was made with, by dpkg's status file, and what has changed since. Pure.

A layer that was built from packages on top of the machine's depends on the packages that it needs, and on no others. It contains
some of them; the rest are the machine's. So it fits as long as each package that it needs is on the machine in the same version
as then, or in the layer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

# In these states all files of a package are in place.
_IN_PLACE = ("installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
_FIELDS = frozenset({"Package", "Status", "Version", "Architecture", "Depends", "Pre-Depends", "Provides"})
_NAMED = 3  # the number of changes that are named to people

# By package, its version on the machine (None: not installed) and where it was made.
Made = Mapping[str, tuple[str | None, str]]


@dataclass(frozen=True)
class Package:
    """An installed package; the last three are its fields, unparsed."""

    name: str
    architecture: str
    version: str
    pre_depends: str
    depends: str
    provides: str


def installed(status: str) -> Mapping[str, Package]:
    """The installed packages of a status file, by name; one of a foreign architecture is `name:architecture`.

    A half-installed package gets a distinct version, so that it differs from the one before.
    """
    stanzas = list(_stanzas(status))
    native = next((it.get("Architecture") for it in stanzas if it["Package"] == "dpkg"), None)
    found = {}
    for it in stanzas:
        name, architecture = it["Package"], it.get("Architecture", "all")
        state = it.get("Status", "").rpartition(" ")[2]
        if state in _IN_PLACE or state == "half-installed":
            key = name if architecture in (native, "all") else f"{name}:{architecture}"
            version = it.get("Version", "") + ("" if state in _IN_PLACE else f" ({state})")
            others = (it.get(field, "") for field in ("Pre-Depends", "Depends", "Provides"))
            found[key] = Package(name, architecture, version, *others)
    return found


def closure(there: Mapping[str, Package], names: Iterable[str]) -> set[str]:
    """The installed packages (keys of `there`) among `names` and their dependencies. Of alternatives, and of providers of a virtual
    package, all installed ones count, since any of them may be in use.

    Essential packages count only if a package names them: they cannot be removed.
    """
    providers: dict[str, list[str]] = {}
    for key, package in there.items():
        for name in (package.name, *(name for (name,) in _relations(package.provides))):
            providers.setdefault(name, []).append(key)
    found: set[str] = set()
    left = list(names)
    while left:
        name, _, architecture = left.pop().partition(":")
        keys = providers.get(name, [])
        if architecture in ("", "any", "native"):
            chosen = [key for key in keys if ":" not in key] or keys
        else:
            chosen = [key for key in keys if there[key].architecture in (architecture, "all")]
        for key in chosen:
            if key not in found:
                found.add(key)
                relations = (*_relations(there[key].pre_depends), *_relations(there[key].depends))
                left += [_within(need, key) for alternatives in relations for need in alternatives]
    return found


def made(machine: str, after: str, names: Iterable[str]) -> Made:
    """The needs of a layer built from `names`, from the status files of the machine before and of the layer after."""
    before, there = installed(machine), installed(after)
    needed = sorted(closure(there, names))
    return {key: (before[key].version if key in before else None, there[key].version) for key in needed}


def changes(made: Made, machine: str) -> Sequence[str]:
    """The packages on the machine that no longer fit, one line each: `zlib1g 1:1.2 -> 1:1.3`, or `-> absent`. Empty: it fits."""
    now = installed(machine)
    versions = {key: now[key].version if key in now else None for key in made}
    return [
        f"{key} {own} -> {versions[key] or 'absent'}"
        for key, (was, own) in made.items()
        if versions[key] not in (was, own)
    ]


def told(changed: Sequence[str]) -> str:
    """Changes in one line."""
    more = len(changed) - _NAMED
    return ", ".join([*changed[:_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _stanzas(status: str) -> Iterator[dict[str, str]]:
    """The fields of each package in a status file; continuation lines are joined."""
    fields: dict[str, str] = {}
    key = ""
    for line in (*status.split("\n"), ""):
        if line[:1] in (" ", "\t") and line.strip():
            if key in _FIELDS:
                fields[key] += line
            continue
        key, _, value = line.partition(":")
        if key in _FIELDS:
            fields[key] = value.strip()
        elif not line.strip():
            if "Package" in fields:
                yield fields
            fields = {}


def _relations(field: str) -> Iterator[tuple[str, ...]]:
    """`a (>= 1) | b:any, c` -> ("a", "b:any"), ("c",)."""
    for group in field.split(","):
        if group.strip():
            yield tuple(word.partition("(")[0].strip() for word in group.split("|"))


def _within(need: str, key: str) -> str:
    """A package of a foreign architecture needs packages of that architecture, unless it says otherwise."""
    architecture = key.partition(":")[2]
    return f"{need}:{architecture}" if architecture and ":" not in need else need
