"""Balances in Decimal. Pure. The sum never changes: every amount that leaves one place enters another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from stormdesk.testnet.venue.market import ZERO


@dataclass(slots=True)
class Balance:
    """`free` can be spent, `locked` backs open orders."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


class Accounts:
    """Balances of all accounts by account and asset."""

    def __init__(self, opening: Mapping[str, Mapping[str, str]]) -> None:
        self._held: dict[str, dict[str, Balance]] = {}
        for account, assets in opening.items():
            self._held[account] = defaultdict(Balance)
            for asset, amount in assets.items():
                self._held[account][asset].free = Decimal(amount)

    def of(self, account: str) -> Mapping[str, Balance]:
        """All balances of an account. Raises KeyError for an account that does not exist."""
        return self._held[account]

    def free(self, account: str, asset: str) -> Decimal:
        return self._held[account][asset].free

    def lock(self, account: str, asset: str, amount: Decimal) -> None:
        """Move from free to locked; a negative amount moves back."""
        balance = self._held[account][asset]
        balance.free -= amount
        balance.locked += amount

    def add(self, account: str, asset: str, amount: Decimal) -> None:
        """Add to the free balance; `amount` may be negative."""
        self._held[account][asset].free += amount

    def totals(self) -> dict[str, dict[str, Decimal]]:
        """Free and locked together, by account and asset."""
        return {name: {a: b.free + b.locked for a, b in held.items()} for name, held in self._held.items()}
