"""The guard's conclusions from its probes: when a restart would help, and the content of health_v2.json."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stormdesk.testnet.guard.health import Findings, Latencies, Service, document
from stormdesk.testnet.guard.stages import Sight

FEEDER, TRADER = Service("Feeder", 15.0, 90.0), Service("Trader", 15.0, 90.0)
GOOD = {"ok": True, "latency_ms": 1.0}
AWAY = {"ok": False, "error": "CONN_TIMEOUT"}
FEEDING = Findings(
    process="RUNNING", page={"ok": True, "stream_age_s": {"BTCUSDT": 0.2}}, page_error="", page_ms=1.0, beat_age_s=0.5,
    starting_s=None, components={"REST_API": GOOD, "Redis": GOOD},
)  # fmt: skip
TRADING = replace(
    FEEDING,
    page={"heartbeats": {"scan": 0.1, "md": 0.3}, "components": {"Feeder": GOOD, "Ledger": GOOD, "Redis": AWAY}},
)


def away(found: Findings, *names: str) -> Findings:
    return replace(found, components={**found.components, **dict.fromkeys(names, AWAY)})


@pytest.mark.parametrize(
    ("service", "found", "sight"),
    [
        (FEEDER, FEEDING, Sight.WELL),
        (TRADER, TRADING, Sight.WELL),
        (TRADER, away(TRADING, "REST_API", "Redis"), Sight.WELL),
        (FEEDER, replace(FEEDING, process="EXITED", page=None, page_error="CONN_REFUSED"), Sight.DEAD),
        (
            TRADER,
            replace(TRADING, page=None, page_error="CONN_REFUSED", beat_age_s=200.0, starting_s=89.0),
            Sight.STARTING,
        ),
        (TRADER, replace(TRADING, page=None, page_error="CONN_REFUSED", beat_age_s=200.0, starting_s=91.0), Sight.BAD),
        (TRADER, replace(TRADING, page={"heartbeats": {"scan": 16.0}}, starting_s=5.0), Sight.BAD),
        (FEEDER, away(replace(FEEDING, process="EXITED", page=None), "REST_API"), Sight.DEAD),
        (FEEDER, replace(FEEDING, process="STOPPED", page=None, page_error="CONN_REFUSED"), Sight.BLIND),
        (
            TRADER,
            replace(TRADING, process="STOPPING", page=None, page_error="CONN_REFUSED", beat_age_s=20.0),
            Sight.BLIND,
        ),
        (FEEDER, replace(FEEDING, page={"stream_age_s": {"BTCUSDT": 20.0}}), Sight.BAD),
        (FEEDER, away(replace(FEEDING, page={"stream_age_s": {"BTCUSDT": 20.0}}), "REST_API"), Sight.BLIND),
        (TRADER, replace(TRADING, page={"heartbeats": {"scan": 16.0}}), Sight.BAD),
        (TRADER, away(replace(TRADING, page={"heartbeats": {"scan": 16.0}}), "REST_API"), Sight.BAD),
        (TRADER, replace(TRADING, page=None, page_error="CONN_TIMEOUT"), Sight.BLIND),  # its heartbeat file is fresh
        (TRADER, replace(TRADING, page=None, page_error="CONN_TIMEOUT", beat_age_s=16.0), Sight.BAD),
        (TRADER, replace(TRADING, page=None, page_error="CONN_TIMEOUT", beat_age_s=None), Sight.BAD),
        (TRADER, replace(TRADING, process=""), Sight.WELL),
        (TRADER, replace(TRADING, process="", page=None, page_error="CONN_REFUSED", beat_age_s=None), Sight.BLIND),
    ],
)
def test_only_what_a_restart_would_fix_is_bad(service: Service, found: Findings, sight: Sight) -> None:
    seen, why = service.sight(found)
    assert seen is sight, why
    assert bool(why) == (sight is not Sight.WELL)


def test_the_document_names_what_fails() -> None:
    found = away(replace(FEEDING, page={"stream_age_s": {"BTCUSDT": 20.0}}), "REST_API")
    told = document(FEEDER, found, ts=5.0, stage="OBSERVE", more={"host": "feed"})
    assert told["dor"] is False
    assert told["failing_components"] == ["REST_API", "Feeder"]
    assert told["components"]["Feeder"]["stream_age_s"] == 20.0
    assert told["host"] == "feed"


def test_the_guards_own_answer_counts_more_than_the_services() -> None:
    told = document(TRADER, TRADING, ts=5.0, stage="OBSERVE", more={})
    assert told["components"]["Redis"]["ok"] is True
    assert set(told["components"]) == {"REST_API", "Redis", "Feeder", "Ledger", "Trader"}
    assert told["dor"] is True
    assert document(TRADER, TRADING, ts=5.0, stage="FAILSAFE", more={})["dor"] is False


@pytest.mark.parametrize(
    "page", [{}, {"heartbeats": 7, "components": [], "stream_age_s": "old"}, {"components": {"x": 1}}]
)
def test_a_malformed_page_ends_nothing(page: dict[str, Any]) -> None:
    told = document(TRADER, replace(TRADING, page=page), ts=5.0, stage="OBSERVE", more={})
    assert told["heartbeats"] == {}


def test_scenario_H_07_a_window_forgets_a_slow_venue() -> None:
    window = Latencies(7.5)
    for second in range(20):
        window.add(float(second), 1.6 if second < 10 else 0.01)
    assert window.share_ms(0.95) == 10.0
    window.add(20.0, 1.6)
    assert window.share_ms(0.95) == 1600.0
    assert Latencies(7.5).share_ms(0.95) == 0.0
