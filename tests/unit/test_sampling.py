"""Samples of the stack while a trader answers late."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from stormdesk.core.errors import ConnectionLost
from stormdesk.desk.metrics_sampler import Sampler
from stormdesk.desk.pulse import SEPARATOR
from stormdesk.ssh.pool import Pool

METRICS = 'trader_orders_total{state="accepted"} '


class Traders:
    """What a Pool is to the sampler: `accepted` by host; None: it does not answer."""

    def __init__(self, **accepted: int | None) -> None:
        self.accepted = accepted
        entry = SimpleNamespace(ports={"http": 1})
        self.inventory = SimpleNamespace(hosts={n: SimpleNamespace(services={"trader": entry}) for n in accepted})

    def run(self, host: str, *_: Any) -> Any:
        accepted = self.accepted[host]
        if accepted is None:
            raise ConnectionLost(host)
        pages = ("ready", "{}", f"{METRICS}{accepted}\n")
        return SimpleNamespace(stdout="".join(f"{page}\n{SEPARATOR} 200\n" for page in pages))


def test_orders_of_a_silent_trader_still_count() -> None:
    traders = Traders(a=10, b=5)
    sampler = Sampler(cast("Pool", traders))
    seen = []
    for a, b in ((10, 5), (None, 6), (14, 7), (0, 8), (None, None)):
        traders.accepted = {"a": a, "b": b}
        found = sampler.read().pulse
        seen.append(found and found.accepted)
    assert seen == [15, 16, 21, 8, None]  # 0: a process that began anew
