"""The stack `full` in a lab: it trades over Kafka, and runs break its broker and its feed's network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import SHORT_VERIFY, trading
from tests.support.desk import Desk

pytestmark = pytest.mark.lab
METRICS = "curl -sf http://127.0.0.1:{port}/metrics | grep '^{name} ' | cut -d ' ' -f 2"
RESIDENT = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ {pss += $2} END {print pss}'"


@pytest.fixture(scope="module")
def desk(lab_home: str, kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with trading(f"full-{os.getpid()}", "full", SHORT_VERIFY) as name:
        desk = Desk(name, tmp_path_factory.mktemp("runs"))
        with desk.pool:
            yield desk


def number(desk: Desk, host: str, port: int, name: str) -> float:
    return float(desk.sh(host, METRICS.format(port=port, name=name)))


def held(desk: Desk, task: str, *words: str) -> dict[str, Any]:
    done = desk.invoke(task, *words)
    assert (done["verdict"], done["residue"]) == ("held", "clean")
    return done


def test_it_trades_over_kafka_and_every_invariant_holds(desk: Desk) -> None:
    desk.invoke("check.all")
    assert "kafka.Kafka" in desk.sh("bus", "tr '\\0' ' ' </proc/$(cat /run/kafka/kafka.pid)/cmdline")
    assert "kafka://10.77.2.17:9092" in desk.sh("trader-a", "cat /etc/trading/trader.json")
    for host in ("trader-a", "trader-b"):
        assert number(desk, host, 8000, "bus_messages_total") > 0
        assert number(desk, host, 8000, "bus_out_of_order_total") == 0
    hosts = ("venue", "feed", "trader-a", "trader-b", "ops", "store", "bus")
    resident = {host: int(desk.sh(host, RESIDENT)) / 1024 for host in hosts}
    print(f"resident, MiB (goal 2048): {sum(resident.values()):.0f}: { ({h: round(m) for h, m in resident.items()}) }")


def test_scenario_B_01_a_killed_broker_comes_back_and_nothing_is_lost(desk: Desk) -> None:
    held(desk, "chaos.process-kill", "--host", "bus", "--service", "kafka", "--for", "5s", "--rto", "60s")
    assert number(desk, "feed", 9101, "feeder_dropped_total") == 0
    assert number(desk, "feed", 9101, "feeder_refused_total") > 0


def test_scenario_N_02_the_feed_cut_from_the_venue_for_ten_seconds_is_backfilled(desk: Desk) -> None:
    before = number(desk, "feed", 9101, "feeder_connects_total")
    held(desk, "chaos.adapter-down", "--host", "feed", "--network", "market", "--for", "10s")
    assert number(desk, "feed", 9101, "feeder_connects_total") > before
    assert number(desk, "feed", 9101, "feeder_lost_trades_total") == 0
