"""Samples of the stack while a trader answers late."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stormdesk.core.errors import ConnectionLost
from stormdesk.desk import metrics_sampler
from stormdesk.desk.metrics_sampler import Sampler, measures
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


class SlowTraders(Traders):
    """Traders that take longer to answer than a sample waits for them."""

    def run(self, host: str, *_: Any) -> Any:
        time.sleep(0.2)
        return super().run(host)


def test_who_answers_too_late_for_one_sample_is_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_sampler, "PATIENCE_S", 0.02)
    traders = SlowTraders(a=10)
    sampler = Sampler(cast("Pool", traders))
    assert sampler.read().pulse is None
    time.sleep(0.4)
    traders.accepted = {"a": 11}
    found = sampler.read()
    assert found.pulse is not None
    assert found.pulse.accepted == 10
    assert sampler.read().pulse is None  # each answer counts once
    time.sleep(0.4)
    assert sampler.read(without=["a"]).pulse is None


def test_measures_are_those_that_are_named_by_their_label() -> None:
    text = 'up{target="guard-feed"} 1\nup{target="feed"} 0\nscrape_duration_seconds{target="feed"} 0.1\n'
    assert measures("prober", text) == {"up": {"guard-feed": 1.0, "feed": 0.0}}
    assert measures("feeder", "feeder_dropped_total 4\nfeeder_stale_total 1\n") == {"feeder_dropped_total": 4.0}


class Views(Traders):
    """Hosts with an orchestrator that says `text`."""

    def __init__(self, text: str) -> None:
        super().__init__(ops=None)
        self.inventory.hosts["ops"].services = {"orchestrator": SimpleNamespace(ports={"http": 1})}
        self.text = text

    def run(self, host: str, *_: Any) -> Any:
        return SimpleNamespace(stdout=self.text)


def test_a_service_is_known_by_its_document_and_its_metrics() -> None:
    pages = ('{"paused": false}', "orchestrator_open_alerts 2\n")
    for count, wanted in ((2, {"paused": False, "orchestrator_open_alerts": 2.0}), (1, {"paused": False})):
        text = "".join(f"{page}\n{SEPARATOR}\n" for page in pages[:count])
        assert Sampler(cast("Pool", Views(text))).read().health == {"ops": {"orchestrator": wanted}}
    assert Sampler(cast("Pool", Views("rubbish"))).read().health == {}
