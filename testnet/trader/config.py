"""The trader's configuration, docs/formats.md section 3, and its fixed times."""

from __future__ import annotations

from stormdesk.testnet.resilience import Configured

RECV_WINDOW_MS = 5_000
VENUE_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 5.0
QUIET_S = RECV_WINDOW_MS / 1000 + VENUE_TIMEOUT_S  # absent for longer after the send: the venue never took it
PROBE_TIMEOUT_S = 2.0
STALE_S = 5.0  # market data older than this is no market data
HOLD_S = 60.0


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """Rates are per second. `stand_back_s`: how long this instance, once it has found Redis, leaves the lock to others,
    so that a fresh stack has the leader it was laid out with."""

    listen: str
    data_dir: str
    pidfile: str
    instance: str
    venue_rest: str
    venue_ws: str
    api_key: str
    api_secret: str
    redis: str
    stream: str
    postgres: str
    symbols: list[str]
    seed: int
    orders_per_s: float = 3.0
    leader_key: str = "trader:leader"
    stand_back_s: float = 0.0
