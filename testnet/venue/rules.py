"""The venue's limits for clients. Pure; the defaults are Binance's numbers."""

from __future__ import annotations

import msgspec


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key `limits` of the venue's configuration. Counts are for one client address, orders for one account."""

    weight_per_min: int = 6_000
    raw_per_5min: int = 61_000
    orders_per_10s: int = 50
    orders_per_day: int = 160_000
    early_before_ban: int = 10  # early requests after a 429 until the address is banned
    ban_s: tuple[float, float] = (120.0, 259_200.0)  # the first and the longest ban; each is twice the previous one
    connects_per_5min: int = 300
    messages_per_s: int = 5  # from one client of the market streams; pings and pongs count
    streams: int = 1_024  # of one connection
    ping_s: float = 20.0
    pong_s: float = 60.0  # a client that has not answered a ping for this long is dropped
    life_s: float = 86_400.0  # of a connection
    listen_key_s: float = 3_600.0  # lifetime of a listen key that is not kept alive
    request_s: float = 10.0  # for a client to send a whole request
    farewell_s: float = 0.2  # between serverShutdown and the close
    body_bytes: int = 65_536  # of a request, or of a message

    def describe(self) -> list[dict[str, object]]:
        """The entry `rateLimits` of exchangeInfo."""
        kinds = (
            ("REQUEST_WEIGHT", "MINUTE", 1, self.weight_per_min),
            ("ORDERS", "SECOND", 10, self.orders_per_10s),
            ("ORDERS", "DAY", 1, self.orders_per_day),
            ("RAW_REQUESTS", "MINUTE", 5, self.raw_per_5min),
        )
        return [{"rateLimitType": k, "interval": i, "intervalNum": n, "limit": limit} for k, i, n, limit in kinds]
