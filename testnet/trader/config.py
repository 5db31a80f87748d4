"""The trader's configuration, docs/formats/service-config.md. Its times and limits are in resilience.yaml."""

from __future__ import annotations

from stormdesk.testnet.bus import Url
from stormdesk.testnet.resilience import Configured

LEADER_KEY = "trader:leader"  # of every stack of ours


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """Rates are per second. `stand_back_s`: the seconds for which this instance, once it has found Redis, leaves the lock to others,
    so that a fresh stack has the leader it was laid out with. `guard_dir`: the folder in which the guard of
    our host writes STOP.TXT and global_flags.json; "" without a guard."""

    listen: str
    data_dir: str
    pidfile: str
    instance: str
    venue_rest: str
    venue_ws: str
    api_key: str
    api_secret: str
    redis: str
    bus: Url
    stream: str
    postgres: str
    symbols: list[str]
    seed: int
    orders_per_s: float = 3.0
    leader_key: str = LEADER_KEY
    stand_back_s: float = 0.0
    guard_dir: str = "/var/lib/trading/guard"
