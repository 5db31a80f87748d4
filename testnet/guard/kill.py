"""The kill switch for a trader that cannot use its own: cancel everything at the venue, and verify that nothing is open."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from stormdesk.testnet.answers import ABSENT, Answer, RefusedError, VenueError, read

ASK_S = 3.0
AGAIN_S = 0.5


class Pulled(msgspec.Struct, frozen=True):
    """The result. `open_at_venue` None: unknown."""

    t: float
    open_at_venue: int | None
    verified: bool
    error: str = ""


class KillSwitch:
    """Signs with the guard's own key, so it works when the trader's key is revoked or the trader is gone."""

    def __init__(
        self, session: aiohttp.ClientSession, rest: str, key: str, secret: str, symbols: Sequence[str]
    ) -> None:
        self._session = session
        self._rest = rest
        self._key = key
        self._secret = secret
        self._symbols = symbols
        self._not_before = 0.0

    async def pull(self, within_s: float) -> Pulled:
        """Cancel all open orders and query until none is open, for at most `within_s` seconds. Never raises.

        Waits while the venue wants no requests: sending one would lead to a ban."""
        end = time.monotonic() + within_s
        left: int | None = None
        error = "the venue wants no request yet"
        while True:
            if self._not_before >= end:
                return Pulled(time.time(), left, False, error)
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            try:
                for symbol in self._symbols:
                    await self._cancel(symbol)
                left = sum([await self._open(symbol) for symbol in self._symbols])
                error = "" if left == 0 else f"{left} orders are still open"
            except (VenueError, aiohttp.ClientError, OSError, TimeoutError) as failure:
                left, error = None, str(failure) or type(failure).__name__
                self._not_before = time.monotonic() + getattr(failure, "retry_after_s", 0.0)
            if left == 0 or time.monotonic() >= end:
                return Pulled(time.time(), left, left == 0, error)
            await asyncio.sleep(AGAIN_S)

    async def _cancel(self, symbol: str) -> None:
        try:
            await self._signed("DELETE", symbol)
        except RefusedError as refused:
            if refused.code not in ABSENT:  # otherwise there was nothing to cancel
                raise

    async def _open(self, symbol: str) -> int:
        return len(await self._signed("GET", symbol))

    async def _signed(self, method: str, symbol: str) -> Any:
        clock = await self._ask("GET", "time", "")
        query = urlencode({"symbol": symbol, "timestamp": clock["serverTime"]})
        signature = hmac.new(self._secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return await self._ask(method, "openOrders", f"?{query}&signature={signature}")

    async def _ask(self, method: str, path: str, query: str) -> Any:
        url = URL(f"{self._rest}/api/v3/{path}{query}", encoded=True)
        limit = aiohttp.ClientTimeout(total=ASK_S)
        async with self._session.request(method, url, headers={"X-MBX-APIKEY": self._key}, timeout=limit) as answer:
            return read(Answer(answer.status, await answer.read(), answer.headers.get("Retry-After", "")))
