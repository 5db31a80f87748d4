"""The account's free balances, as of the venue's last answer, and whether they are still reliable."""

from __future__ import annotations

import asyncio
import logging
import time
from decimal import Decimal
from typing import Any

from stormdesk.testnet.answers import VenueError
from stormdesk.testnet.resilience import Balance
from stormdesk.testnet.trader.gates.risk import Purse
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.open_orders import Desk
from stormdesk.testnet.trader.venue import Venue

log = logging.getLogger(__name__)


SLACK_MS = 1_000  # between the venue's clock and what we think that it is


class StaleError(VenueError):
    """The venue's answer is older than an earlier one."""


class Balances:
    """Fetched when they are too old, and after fills, before they are used to judge an order."""

    def __init__(self, desk: Desk, venue: Venue, metrics: Metrics, numbers: Balance) -> None:
        self._desk = desk
        self._venue = venue
        self._metrics = metrics
        self._max_age_s = numbers.max_age_s
        self._free: dict[str, Decimal] | None = None
        self._fetched_at = float("-inf")
        self._fills = 0  # that are in what we have
        self._told_ms = 0
        self._turn = asyncio.Lock()

    def age_s(self) -> float:
        """Seconds since the last fetch; infinite before the first."""
        return time.monotonic() - self._fetched_at

    def fresh(self) -> bool:
        return self.age_s() <= self._max_age_s and self._fills == self._desk.fills

    def purse(self, *, fresh: bool) -> Purse:
        """The known balances, and whether they were valid when fetched."""
        return Purse(self._free, fresh)

    async def ensure(self) -> bool:
        """Fetch them if necessary; returns whether they are reliable. A fill during the fetch makes the next call fetch again."""
        async with self._turn:
            if not self.fresh():
                try:
                    await self.fetch()
                except VenueError as error:
                    log.warning("balances: not refreshed: %s", error)
                    return False
        return True

    async def fetch(self) -> dict[str, Any]:
        """The account's state at the venue. Raises VenueError, StaleError."""
        fills, began = self._desk.fills, time.monotonic()
        account = await self._venue.account()
        told = int(account["updateTime"])
        # The venue's clock may have been set back meanwhile, so this answer is not compared with earlier ones.
        newest = min(max(self._told_ms, self._desk.traded_ms), self._venue.now_ms() - SLACK_MS)
        if told < newest:
            self._metrics.alarm("stale_account", f"the account is {newest - told} ms older than what we know")
            raise StaleError(f"the account is {newest - told} ms older than what we know")
        free = {entry["asset"]: Decimal(entry["free"]) for entry in account["balances"]}
        self._tell(free)
        self._free, self._fetched_at, self._fills, self._told_ms = free, began, fills, told
        return account

    def spend(self, asset: str, amount: Decimal) -> None:
        """Subtract what an order needs, until the next fetch."""
        if self._free is not None:
            self._free[asset] = self._free.get(asset, Decimal(0)) - amount

    def _tell(self, free: dict[str, Decimal]) -> None:
        before = self._free or {}
        moves = [f"{a} {before.get(a, 'none')} -> {amount}" for a, amount in free.items() if before.get(a) != amount]
        log.info("balances: refreshed at an age of %.1f s: %s", self.age_s(), ", ".join(moves) or "as before")
