"""The guard's configuration, docs/formats/service-config.md."""

from __future__ import annotations

from stormdesk.testnet.resilience import Configured


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """`service` is the program's name at the supervisor, `component` its name in documents, `heartbeat` a file that it writes,
    `supervisor` the socket of supervisord, or `systemd`.
    `postgres` "" is not checked; a `bus` on Redis is checked with Redis, one at kafka://host:port separately. With an `api_key`
    the guard can cancel the account's orders at the venue."""

    listen: str
    data_dir: str
    pidfile: str
    instance: str
    service: str
    component: str
    url: str
    heartbeat: str
    supervisor: str
    venue_rest: str
    redis: str
    symbols: list[str]
    bus: str = ""
    postgres: str = ""
    leader_key: str = ""
    api_key: str = ""
    api_secret: str = ""
