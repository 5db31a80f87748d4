"""From the catalogue to the command line: the flags of a fault, the fault from its flags, hosts from `--host`. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

from stormdesk.core.anchors import Event, Within
from stormdesk.core.errors import ExitCode, UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.plan import MAX_TTL_S
from stormdesk.core.safety import Allow
from stormdesk.core.values import Duration, FaultCount, Hold, HostCount, Seed, Share, Value, duration

TARGETS: Mapping[str, tuple[object, str]] = {
    "env": ("", "environment; default: STORMDESK_ENV, else the only one"),
    "inventory": ("", "the hosts instead of an environment: FILE (JSON), ansible:FILE, ssh-config:FILE, pulumi:STACK"),
}
COMMON: Mapping[str, tuple[object, str]] = {
    "host": (
        None,
        "where: a name, leader, role:trader (all of a role), one:, minority: or majority:role:trader; again or with commas",
    ),
    "for_": (Hold("30s"), "how long it stays in"),
    "at": (
        None,
        "inject at this event, held until the fault is in: venue:accepted:N, :filled:N, :canceled:N, or HOST/SERVICE:SYSCALL:N",
    ),
    "at_within": (Within("30s"), "with --at: how long the event may take to come; then nothing is injected"),
    "ttl": (None, "the host reverts by itself after this, whatever happens; default: --for + 15s, at most 30m"),
    "plan": (False, "show the commands, hosts and undo; change nothing"),
    "plan_hash": (None, "refuse unless the plan has this hash (from --plan)"),
    "json": (False, "one JSON object on stdout, all else on stderr"),
    **TARGETS,
    "seed": (None, "seed of the choice by one:, minority: and majority:role:; default: random, in the record"),
    "allow_irreversible": (False, "allow a fault that cannot be undone"),
    "allow_role_share": (None, "allow this percentage of a role at once; default 33"),
    "allow_hosts": (None, "allow this many hosts at once; default 10"),
    "allow_faults": (None, "allow this many faults at once on a host; default 3"),
    "allow_unsteady": (False, "inject although the steady state does not hold"),
    "allow_no_boot_hook": (False, "allow a persistent fault on a host that would not revert it after a reboot"),
}
VENUE: Mapping[str, tuple[object, str]] = {
    "seed": (Seed(0), "seed of its choices; the same seed gives the same decisions"),
    "rto": (Duration("150s"), "how long the stack may take to trade again; an open breaker takes 120s of it"),
    **{name: COMMON[name] for name in ("for_", "ttl", "plan", "plan_hash", "json", *TARGETS, "allow_unsteady")},
}
KINDS: Mapping[str, type[Value]] = {
    "at": Event, "ttl": Duration, "seed": Seed, "allow_role_share": Share, "allow_hosts": HostCount, "allow_faults": FaultCount,
}  # fmt: skip


Flags = Mapping[str, tuple[object, str]]


def signature(fault_type: type[Fault], common: Flags = COMMON) -> Signature:
    """The flags of a fault's task: its own parameters first, then those common to its group."""
    own = [Parameter(f.name, Parameter.KEYWORD_ONLY, default=_default(f)) for f in _fields(fault_type)]
    shared = [Parameter(name, Parameter.KEYWORD_ONLY, default=default) for name, (default, _) in common.items()]
    return Signature([Parameter("context", Parameter.POSITIONAL_OR_KEYWORD), *own, *shared])


def helps(fault_type: type[Fault], common: Flags = COMMON) -> Mapping[str, str]:
    """The help of each flag."""
    return {f.name: f.metadata["help"] for f in _fields(fault_type)} | {
        name: text for name, (_, text) in common.items()
    }


def kinds(fault_type: type[Fault]) -> Mapping[str, type[Value]]:
    """The types of values whose defaults do not tell them."""
    return {f.name: f.metadata["kind"] for f in _fields(fault_type) if "kind" in f.metadata} | dict(KINDS)


def hint(fault_type: type[Fault], common: Flags = COMMON) -> str:
    """The main flags, for the menu."""
    own = [f"--{_flag(f.name)} {_default(f)}" for f in _fields(fault_type) if isinstance(_default(f), Value)]
    where = "--host H " if "host" in common else ""
    return f"{where}[{' '.join([*own[:1], '--for 30s'])}]"


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """All faults, as lines for people or as JSON."""

    faults: Mapping[str, type[Fault]]
    exit_code: ExitCode = ExitCode.HELD

    @property
    def lines(self) -> Sequence[str]:
        lines: list[str] = []
        width = max(map(len, self.faults), default=0) + 2
        for name, fault in self.faults.items():
            lines += [f"{name:<{width}}{fault.title}", f"{'':{width}}undo: {fault.undo}"]
            lines += [f"{'':{width}}{text}" for text in _warnings(fault)]
            lines += [f"{'':{width}}needs: {', '.join(fault.needs)}{_or_else(fault)}"]
            flags = {f"--{_flag(f.name)} {_word(f)}": _help(f) for f in _fields(fault)}
            lines += [f"{'':{width}}  {flag:<22}  {text}" for flag, text in flags.items()]
        return lines

    def as_json(self) -> Mapping[str, object]:
        return {"faults": [_described(name, fault) for name, fault in self.faults.items()]}


def _described(name: str, fault_type: type[Fault]) -> Mapping[str, object]:
    parameters = [
        {"flag": f"--{_flag(f.name)}", "value": _word(f), "default": str(_default(f) or ""), "help": f.metadata["help"]}
        for f in _fields(fault_type)
    ]
    return {
        "fault": name,
        "what": fault_type.title,
        "parameters": parameters,
        "needs": list(fault_type.needs),
        "may_use": list(getattr(fault_type, "may_use", ())),
        "undo": fault_type.undo,
        "irreversible": getattr(fault_type, "irreversible", ""),
        "may_cut_control": fault_type.may_cut_control,
    }


def _warnings(fault_type: type[Fault]) -> Sequence[str]:
    """What one should know before the first try."""
    never = getattr(fault_type, "irreversible", "")
    return [
        *([f"takes --allow-irreversible: {never}"] if never else []),
        *(["may cut our own SSH: then the host ends it by itself after --for"] if fault_type.may_cut_control else []),
    ]


def _or_else(fault_type: type[Fault]) -> str:
    """The tools of which one or some are enough; what a host can do with its own, it says itself."""
    others = sorted(set(getattr(fault_type, "may_use", ())) - set(fault_type.needs))
    return f"; uses, by mechanism: {', '.join(others)}" if others else ""


def _help(field: dataclasses.Field[Any]) -> str:
    """The help of a parameter, with the default that it does not say itself."""
    text, default = field.metadata["help"], _default(field)
    return text if default in (None, "") or "default:" in text else f"{text} (default: {default})"


def _word(field: dataclasses.Field[Any]) -> str:
    kind = field.metadata.get("kind", type(_default(field)))
    return kind.WORD if issubclass(kind, Value) else "TEXT"


def fault_of(fault_type: type[Fault], values: Mapping[str, Any]) -> Fault:
    """The fault that the flags describe. Raises UsageError."""
    return fault_type(**{f.name: values[f.name] for f in _fields(fault_type)})


def allow_of(values: Mapping[str, Any]) -> Allow:
    """The limits that the flags lift; those without a flag in the task stay."""
    names = [f.name for f in dataclasses.fields(Allow) if f"allow_{f.name}" in values]
    return Allow(**{name: values[f"allow_{name}"] for name in names})


def check_ttl(hold_s: float, ttl_s: float | None) -> None:
    """Raises UsageError for a TTL that no plan accepts, before any host is contacted."""
    if ttl_s is not None and ttl_s < hold_s:
        most = f"at most {duration(MAX_TTL_S)}"
        raise UsageError(
            f"--ttl {duration(ttl_s)}: must be at least --for {duration(hold_s)} + 5s, {most}, "
            f"e.g. --ttl {duration(min(hold_s + 15, MAX_TTL_S))}"
        )


def _fields(fault_type: type[Fault]) -> Sequence[dataclasses.Field[Any]]:
    return dataclasses.fields(fault_type)  # type: ignore[arg-type]  # every fault is a dataclass; a protocol cannot say so


def _default(field: dataclasses.Field[Any]) -> Any:
    return None if field.default is dataclasses.MISSING else field.default


def _flag(name: str) -> str:
    return name.strip("_").replace("_", "-")
