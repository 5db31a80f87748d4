"""What is forbidden, and what needs an --allow flag. Pure. All safety rules are here and nowhere else.

Rules: a host is touched only if it has the target marker of this environment and no production marker; never the controller's
own host; at most a third of a role, 10 hosts, 3 faults; a fault that cannot be undone needs --allow-irreversible.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import HostFacts, Identity
from stormdesk.core.plan import Plan
from stormdesk.core.values import shown

MAX_HOSTS = 10
MAX_FAULTS = 3
ROLE_SHARE = 33  # percent
MOST_NAMED = 3  # hosts of others that a refusal names
MAX_PATH = 1024  # shorter than PATH_MAX: names are appended
PROTECTED_PATHS = ("/boot", "/etc", "/usr", "/proc", "/sys", "/dev", "/bin", "/sbin", "/lib")


@dataclass(frozen=True)
class Allow:
    """What the user allows beyond the defaults; each field has a flag."""

    irreversible: bool = False
    role_share: int | None = None  # percent
    hosts: int | None = None
    faults: int | None = None  # at once on one host
    unsteady: bool = False
    no_boot_hook: bool = False

    @property
    def most_hosts(self) -> int:
        return MAX_HOSTS if self.hosts is None else self.hosts

    @property
    def most_faults(self) -> int:
        return MAX_FAULTS if self.faults is None else self.faults

    @property
    def share(self) -> int:
        """Percent of a role."""
        return ROLE_SHARE if self.role_share is None else self.role_share


NOTHING_MORE = Allow()


def check_path(flag: str, path: str) -> str:
    """Check that a path is absolute, plain, and outside what a host needs to run; returns it."""
    if not path.startswith("/") or len(path) > MAX_PATH or ".." in path.split("/") or not path.isprintable():
        raise UsageError(
            f"{flag} {shown(path)}: must be an absolute path of 1..{MAX_PATH} printable characters without .., "
            "e.g. /var/lib/trading"
        )
    plain = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    if plain == "/" or any(plain == bad or plain.startswith(bad + "/") for bad in PROTECTED_PATHS):
        raise UsageError(
            f"{flag} {path}: never / nor anything below {', '.join(PROTECTED_PATHS)}. Use a data folder such as /var/lib/trading"
        )
    return plain


def check_interface(name: str) -> str:
    """Check that it is a kernel interface name other than the loopback; returns it."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}", name):
        raise UsageError(f"--interface {name[:40]!r}: must be 1..15 of letters, digits, . _ -   (e.g. eth1)")
    if name in ("lo", "all", "default"):
        raise UsageError(f"--interface {name}: never the loopback and never all of them; name one, e.g. eth1")
    return name


def check_pattern(text: str) -> str:
    """Check text that selects a process by its command line: long enough to be specific, and not matching our own processes."""
    if not 3 <= len(text) <= 200 or not text.isprintable():
        raise UsageError(f"--pattern {text[:40]!r}: must be 3..200 printable characters")
    if re.search(r"sshd|stormdesk|supervisord|\binit\b", text):
        raise UsageError(f"--pattern {text}: sshd, init, supervisord and Stormdesk itself are never targets")
    return text


def check_host(facts: HostFacts, inventory: Inventory, controller: Identity) -> None:
    """Raises RefusedError unless this host may be touched."""
    host, say = facts.host, "Nothing was changed"
    if facts.identity == controller:
        raise RefusedError(f"{host} is the machine that this runs on: never a target. {say}")
    if facts.production:
        raise RefusedError(f"{host} carries /etc/stormdesk.production: never a target. {say}")
    if facts.marker is None:
        raise RefusedError(f"{host} has no /etc/stormdesk.target: it is not a target of {inventory.environment}. {say}")
    if facts.marker.get("environment") != inventory.environment:
        raise RefusedError(
            f"{host} belongs to environment '{shown(str(facts.marker.get('environment')))}', "
            f"not '{inventory.environment}'. {say}"
        )
    if facts.uid != 0:
        raise RefusedError(f"{host}: root is needed (log in as root, or let the user run sudo -n). {say}")
    if facts.halted:
        raise RefusedError(f"{host} is halted: no faults until it is lifted. {say}.   invoke chaos.halt --lift")


@dataclass(frozen=True)
class Claim:
    """Another run that holds a host. `waiting`: armed, and not injected yet."""

    run_id: str
    waiting: bool = False


@dataclass(frozen=True)
class Seen:
    """A host as just found: which machine it is, and which runs hold it. `identity` None: it did not answer, so any run may
    hold it."""

    identity: Identity | None = None
    claims: tuple[Claim, ...] = ()


def same_machine(seen: Mapping[str, Seen]) -> Mapping[str, str]:
    """By host, the first name of its machine; a host that did not answer counts as a separate machine."""
    first: dict[Identity, str] = {}
    named = {}
    for name in sorted(seen):
        identity = seen[name].identity
        named[name] = name if identity is None else first.setdefault(identity, name)
    return named


def rivals(chosen: Collection[str], inventory: Inventory, allow: Allow) -> frozenset[str]:
    """The other hosts that count for the limits of a run on `chosen`: they are asked which runs hold them before it injects."""
    keys = {inventory.hosts[name].host_key for name in chosen}
    # One machine may have two names, each with a role.
    maybe = [host for host in inventory.hosts.values() if host.host_key in keys]
    asked = {host.name for host in maybe}
    if allow.share < 100:
        roles = {host.role for host in maybe}
        asked |= {host.name for host in inventory.hosts.values() if host.role in roles}
    if len(inventory.hosts) > allow.most_hosts:
        asked |= set(inventory.hosts)
    return frozenset(asked - set(chosen))


def check_spread(
    chosen: Sequence[str],
    inventory: Inventory,
    ephemeral: Collection[str],
    allow: Allow,
    seen: Mapping[str, Seen],
) -> None:
    """Raises RefusedError if these are too many hosts at once, together with those held by other runs. Machines are counted, not
    names. `ephemeral` are the hosts whose marker says so; `seen` is the state of `chosen` and of the hosts that count."""
    machine = {**{name: name for name in inventory.hosts}, **same_machine(seen)}
    mine: dict[str, str] = {}
    for name in chosen:
        if mine.setdefault(machine[name], name) != name:
            raise RefusedError(
                f"{mine[machine[name]]} and {name} are one machine by two names: name one of them. Nothing was changed"
            )
    held = _held_by_others(machine, mine, seen)
    if len(mine) + len(held) > allow.most_hosts:
        raise RefusedError(
            f"{len(mine) + len(held)} hosts at once{_who(held)}: at most {allow.most_hosts}. "
            f"{_wait(held)}--allow-hosts {len(mine) + len(held)}"
        )
    roles = {host.role for host in inventory.hosts.values() if machine[host.name] in mine}
    for role in sorted(roles):
        of_role = {machine[host.name] for host in inventory.role(role)}
        hit = sorted(of_role & set(mine))
        taken = {name: why for name, why in held.items() if name in of_role}
        if len(hit) + len(taken) == 1:
            # One at a time is allowed, unless it is the only host of its role and not ephemeral.
            name = mine[hit[0]]
            if len(of_role) > 1 or name in ephemeral or allow.share >= 100:
                continue
            raise RefusedError(f"{name} is the only {role} and is not ephemeral.   --allow-role-share 100")
        if 100 * (len(hit) + len(taken)) > allow.share * len(of_role):
            raise RefusedError(
                f"{len(hit) + len(taken)} of {len(of_role)} hosts of role {role} at once{_who(taken)}: "
                f"at most {allow.share} %. {_wait(taken)}--allow-role-share 100"
            )


def _held_by_others(machine: Mapping[str, str], mine: Collection[str], seen: Mapping[str, Seen]) -> Mapping[str, str]:
    """By machine, which other runs hold it or may hold it."""
    held: dict[str, str] = {}
    for name, found in sorted(seen.items()):
        if machine[name] in mine:
            continue
        if found.identity is None:
            held.setdefault(machine[name], f"{name} does not answer and counts as taken")
        elif found.claims:
            held.setdefault(machine[name], f"run {found.claims[0].run_id} is on {name}")
    return held


def _who(held: Mapping[str, str]) -> str:
    some = list(held.values())
    more = f" and {len(some) - MOST_NAMED} more" if len(some) > MOST_NAMED else ""
    return f" ({'; '.join(some[:MOST_NAMED])}{more})" if some else ""


def _wait(held: Mapping[str, str]) -> str:
    return "Wait, or: " if held else "  "


def check_plan(plan: Plan, facts: HostFacts, active: int, allow: Allow) -> None:
    """Raises RefusedError unless this plan may run on this host, where `active` faults are active already."""
    if plan.change.irreversible and not allow.irreversible:
        why = plan.change.reverts_what.removeprefix("none: ")
        raise RefusedError(f"{plan.change.says} on {plan.id.host} cannot be undone: {why}.   --allow-irreversible")
    if plan.change.persistent and not facts.boot_hook and not allow.no_boot_hook:
        why = facts.no_boot_hook.replace("this host", plan.id.host) or f"{plan.id.host} would not undo it then"
        raise RefusedError(f"{plan.id.fault} survives a reboot and {why}.   --allow-no-boot-hook")
    if active >= allow.most_faults:  # the host counts again, under its own lock, when it is armed
        raise RefusedError(
            f"{active} faults are in already on {plan.id.host}: at most {allow.most_faults} at once. "
            f"Wait, or: --allow-faults {active + 1}.   invoke chaos.status lists them"
        )
