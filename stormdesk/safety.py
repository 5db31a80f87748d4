"""What is never done, and what needs to be allowed by name. Pure. All guards of DESIGN section 3 are here and nowhere else.

Rules: a host is touched only if it carries the target marker of this environment and no production marker; never the
controller's own host; at most a third of a role, 10 hosts, 3 faults; a fault nobody can undo needs --allow-irreversible.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stormdesk.errors import RefusedError, UsageError
from stormdesk.inventory import Inventory, InventoryHost
from stormdesk.model import HostFacts, Identity, Plan
from stormdesk.values import shown

MAX_HOSTS = 10
MAX_FAULTS = 3
ROLE_SHARE = 33  # percent
MAX_PATH = 1024  # shorter than PATH_MAX: names are added to it
PROTECTED_PATHS = ("/boot", "/etc", "/usr", "/proc", "/sys", "/dev", "/bin", "/sbin", "/lib")


@dataclass(frozen=True)
class Allow:
    """What the user allows beyond the defaults; each field is a flag."""

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
    """An absolute, plain path outside what a host needs to live; returned as it is."""
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
    """A kernel interface name that is not the loopback."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}", name):
        raise UsageError(f"--interface {name[:40]!r}: must be 1..15 of letters, digits, . _ -   (e.g. eth1)")
    if name in ("lo", "all", "default"):
        raise UsageError(f"--interface {name}: never the loopback and never all of them; name one, e.g. eth1")
    return name


def check_pattern(text: str) -> str:
    """Plain text for a process's command line: long enough to mean one thing, and nothing that carries us."""
    if not 3 <= len(text) <= 200 or not text.isprintable():
        raise UsageError(f"--pattern {text[:40]!r}: must be 3..200 printable characters")
    if re.search(r"sshd|stormdesk|supervisord|\binit\b", text):
        raise UsageError(f"--pattern {text}: sshd, init, supervisord and Stormdesk itself are never targets")
    return text


def check_host(facts: HostFacts, inventory: Inventory, controller: Identity) -> None:
    """May this host be touched at all? Raises RefusedError."""
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


def check_spread(
    chosen: Sequence[InventoryHost], inventory: Inventory, ephemeral: Collection[str], allow: Allow
) -> None:
    """Are these too many hosts at once? `ephemeral` names hosts whose marker says so. Raises RefusedError."""
    limit = allow.hosts if allow.hosts is not None else MAX_HOSTS
    if len(chosen) > limit:
        raise RefusedError(f"{len(chosen)} hosts at once: at most {limit}.   --allow-hosts {len(chosen)}")
    for role in sorted({host.role for host in chosen}):
        hit = [host for host in chosen if host.role == role]
        all_of_role = inventory.role(role)
        share = allow.role_share if allow.role_share is not None else ROLE_SHARE
        if len(hit) == 1:
            # One at a time is the normal case; the last of its role only where the whole environment is made to be broken.
            if len(all_of_role) > 1 or hit[0].name in ephemeral or share >= 100:
                continue
            raise RefusedError(f"{hit[0].name} is the only {role} and is not ephemeral.   --allow-role-share 100")
        if 100 * len(hit) > share * len(all_of_role):
            raise RefusedError(
                f"{len(hit)} of {len(all_of_role)} hosts of role {role} at once: at most {share} %.   --allow-role-share 100"
            )


def check_plan(plan: Plan, facts: HostFacts, active: int, allow: Allow) -> None:
    """May this plan run on this host, with `active` faults in already? Raises RefusedError."""
    if plan.irreversible and not allow.irreversible:
        raise RefusedError(f"{plan.says}: nothing on {plan.host} would start it again.   --allow-irreversible")
    if plan.persistent and not facts.boot_hook and not allow.no_boot_hook:
        raise RefusedError(
            f"{plan.fault} survives a reboot and nothing on {plan.host} runs /etc/stormdesk/boot at start.   --allow-no-boot-hook"
        )
    if active >= allow.most_faults:  # the host counts again when it is armed, under its own lock
        raise RefusedError(
            f"{active} faults are in already on {plan.host}: at most {allow.most_faults} at once. "
            f"Wait, or: --allow-faults {active + 1}.   invoke chaos.status lists them"
        )
