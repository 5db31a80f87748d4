"""The feeder's configuration, docs/formats/service-config.md."""

from __future__ import annotations

from stormdesk.testnet.bus import Url
from stormdesk.testnet.resilience import Configured


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """`stream` is the bus's stream or topic."""

    listen: str
    data_dir: str
    pidfile: str
    venue_ws: str
    venue_rest: str
    symbols: list[str]
    bus: Url
    stream: str
