"""The hosts of a run: what its words mean when it is planned, and whether they still do when it is armed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import Inventory
from stormdesk.core.targets import Leader, Target, asks_for_leader, chosen, hosts_of, no_leader
from stormdesk.run.show import Show
from stormdesk.run.stack import Stack


class Aim:
    """`targets` is what each word meant, `hosts` are the hosts, each once. Who leads is asked of `stack`, which is None on hosts
    that have no stack of ours. Raises UsageError, RefusedError, and TransportError where nobody can say who leads."""

    def __init__(
        self, words: Sequence[str], inventory: Inventory, seed: int, stack: Stack | None, rng: Random | None = None
    ) -> None:
        self.stack = stack
        self._environment = inventory.environment
        self._leader: Leader | None = None
        self.targets: tuple[Target, ...] = chosen(words, inventory, seed, rng or Random(seed), self._lead)
        self.hosts = hosts_of(self.targets)

    def show(self, show: Show) -> None:
        """What was decided here, for people."""
        for target in self.targets:
            if target.why:
                show.phase("target", f"{target.asked} is {', '.join(target.hosts)}: {target.why}")

    def confirm(self) -> None:
        """Whoever led when the run was planned leads still. Raises RefusedError: the plan was made for another host."""
        if self._leader is None:
            return
        before, now = self._leader, self._ask()
        if now.host != before.host:
            raise RefusedError(
                f"{before.host} led when the run was planned, {now.host} leads now. Nothing was changed. Run it again"
            )

    def _lead(self) -> Leader:
        self._leader = self._leader or self._ask()
        return self._leader

    def _ask(self) -> Leader:
        if self.stack is None:
            raise no_leader(self._environment)
        return self.stack.leader()


def check(words: Sequence[str], inventory: Inventory, stack: Stack | None) -> None:
    """Raises what can be said of the words before anybody is asked who leads: UsageError, or RefusedError where nobody does."""
    names = [name for word in words for name in word.split(",")]
    if stack is None and asks_for_leader(names, inventory):
        raise no_leader(inventory.environment)
    anybody = Leader(min(set(inventory.hosts) - set(inventory.unusable), default=""), "")
    chosen(words, inventory, 0, Random(0), lambda: anybody)
