"""Which hosts `--host` and a runbook's `host` mean: names, roles, shares of a role, and whoever leads. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.values import shown

LEADER = "leader"
SHARES = ("one", "minority", "majority", "all")  # of a role
HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
OF_A_ROLE = re.compile(rf"(?:(?P<share>{'|'.join(SHARES)}):)?role:(?P<role>.*)", re.DOTALL)
FORMS = "must be a name (1..63 of letters, digits, . _ -), role:NAME or one:role:NAME (also minority: and majority:), or leader"


@dataclass(frozen=True)
class Leader:
    """The host that leads its stack, and how that is known."""

    host: str
    why: str


Lead = Callable[
    [], Leader
]  # asks who leads now; raises RefusedError when nobody does, TransportError when nobody can say


@dataclass(frozen=True)
class Target:
    """A word and the hosts that it meant. `why` says what decided; "" for names and whole roles."""

    asked: str
    hosts: tuple[str, ...]
    why: str = ""


def wrong(word: str) -> str:
    """Why this can mean no host of any inventory, or ""."""
    return "" if HOST_NAME.fullmatch(word) or OF_A_ROLE.fullmatch(word) else FORMS


def asks_for_leader(words: Sequence[str], inventory: Inventory) -> bool:
    """Is `leader` among the words? A host of that name comes first."""
    return LEADER in words and LEADER not in inventory.hosts


def chosen(words: Sequence[str], inventory: Inventory, seed: int, rng: Random, lead: Lead) -> tuple[Target, ...]:
    """What each word means now, in the order given; `rng`, made from `seed`, chooses. Raises UsageError for none, for unknown
    ones and for shares that there are not, and what `lead` raises."""
    names = [name for word in words for name in word.split(",")]
    if not names:
        raise UsageError(
            f"--host is required. Known: {_known(inventory)}.  e.g. --host {min(inventory.hosts, default='NAME')}"
        )
    return tuple(_target(name, inventory, seed, rng, lead) for name in names)


def hosts_of(targets: Sequence[Target]) -> tuple[str, ...]:
    """Their hosts, each once, in the order given."""
    return tuple(dict.fromkeys(host for target in targets for host in target.hosts))


def no_leader(environment: str) -> RefusedError:
    """The refusal on hosts that nobody leads, as far as we know."""
    return RefusedError(
        f"--host {LEADER}: nobody leads the hosts of {environment}: that is known of Stormdesk's trading stack alone. "
        "Nothing was changed"
    )


def _known(inventory: Inventory) -> str:
    return ", ".join(sorted(inventory.hosts))


def _target(word: str, inventory: Inventory, seed: int, rng: Random, lead: Lead) -> Target:
    if asks_for_leader([word], inventory):
        leader = lead()
        return Target(word, (inventory.host(leader.host).name,), leader.why)
    if wrong(word):
        raise UsageError(f"--host {shown(word)}: {FORMS}. Known: {_known(inventory)}")
    of_a_role = OF_A_ROLE.fullmatch(word)
    if not of_a_role:
        return Target(word, (inventory.host(word).name,))
    found = [host.name for host in inventory.role(of_a_role["role"])]
    if not found:
        roles = ", ".join(sorted({host.role for host in inventory.hosts.values()}))
        raise UsageError(
            f"--host {shown(word)}: no host has that role. Roles: {roles}.   e.g. --host role:{roles.split(',')[0]}"
        )
    if of_a_role["share"] in (None, "all"):
        return Target(word, tuple(found))
    return Target(word, _some(word, of_a_role["share"], found, rng), f"seed {seed}")


def _some(word: str, share: str, found: Sequence[str], rng: Random) -> tuple[str, ...]:
    """That share of the hosts, in their order."""
    if share == "one":
        return (rng.choice(found),)
    count = (len(found) - 1) // 2 if share == "minority" else len(found) // 2 + 1
    if not count:
        raise UsageError(f"--host {shown(word)}: of {len(found)} hosts no number is a minority; it takes three")
    some = set(rng.sample(found, count))
    return tuple(name for name in found if name in some)
