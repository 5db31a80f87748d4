"""The pulse of the trading stack, and the instant at which trading has recovered."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stormdesk.core.goals import STALL_S
from stormdesk.desk.pulse import (
    SEPARATOR,
    STABLE_S,
    Answer,
    Pulse,
    Recovery,
    ack_p99_ms,
    answer,
    pulse,
)
from stormdesk.evidence.metrics import series

METRICS = """# HELP trader_orders_total orders
# TYPE trader_orders_total counter
trader_orders_total{state="accepted",side="buy"} 10
trader_orders_total{side="sell",state="accepted"} 5.0
trader_orders_total{state="refused",side="buy"} 2
trader_orders_total{state="sent",side="buy"} 99
trader_is_leader 1
trader_order_unknown 1
trader_order_ack_seconds_bucket{le="0.01"} 90
trader_order_ack_seconds_bucket{le="0.1"} 99
trader_order_ack_seconds_bucket{le="+Inf"} 100
trader_heartbeat_age_seconds{loop="x"} NaN
rubbish
trader_is_leader not-a-number
"""


def at(t: float, accepted: int, *, refused: int = 0, ready: bool = True, leaders: int = 1) -> Pulse:
    return Pulse(t, ready, leaders, accepted, refused, 0, 0)


def test_series_of_an_exposition() -> None:
    found = list(series(METRICS))
    assert ("trader_orders_total", {"state": "accepted", "side": "buy"}, 10.0) in found
    assert [name for name, _, _ in found].count("trader_is_leader") == 1
    assert "trader_heartbeat_age_seconds" not in [name for name, _, _ in found]


def test_a_pulse_is_the_sum_over_traders() -> None:
    standby = Answer(False, {}, 'trader_is_leader 0\ntrader_orders_total{state="accepted"} 1\n')
    now = pulse(7.0, [Answer(True, {}, METRICS), standby])
    assert (now.t, now.ready, now.leaders, now.accepted, now.refused, now.unknown) == (7.0, True, 1, 16, 2, 1)
    assert now.ack_s == ((0.01, 90), (0.1, 99), (float("inf"), 100))
    assert now.metrics()["accepted"] == 16.0
    assert pulse(7.0, []).leaders == 0


def test_counters_of_a_trader_that_is_silent_go_on_from_its_last_answer() -> None:
    follower = Answer(True, {}, 'trader_is_leader 1\ntrader_orders_total{state="accepted"} 1\n')
    now = pulse(7.0, [follower], silent=[Answer(True, {}, METRICS)])
    assert (now.accepted, now.refused, now.ack_s[0]) == (16, 2, (0.01, 90))
    assert (now.ready, now.leaders, now.unknown) == (True, 1, 0)  # what it is now, nobody knows
    assert not pulse(7.0, [], silent=[follower]).ready


BUS = """bus_missed_total 3
bus_consumer_lag 4
trader_heartbeat_age_seconds{loop="scan"} 0.5
trader_heartbeat_age_seconds{loop="md"} 6
"""


def test_what_the_bus_and_the_loops_say_is_a_total_and_the_most_of_the_traders() -> None:
    other = Answer(True, {}, "bus_missed_total 1\nbus_consumer_lag 1\n")

    def said(more: Mapping[str, float]) -> Mapping[str, float]:
        """But for the counters that are zero."""
        return {name: value for name, value in more.items() if value}

    assert said(pulse(1.0, [Answer(True, {}, BUS), other]).more) == {"missed": 4, "lag": 4, "slowest_loop_s": 6}
    assert said(pulse(1.0, [other], silent=[Answer(True, {}, BUS)]).more) == {"missed": 4, "lag": 1}


@pytest.mark.parametrize(
    "garbage", ["trader_is_leader NaN", "trader_is_leader inf", "trader_orders_total{ 1", "\0", "{} {}"]
)
def test_garbage_from_a_trader_causes_no_traceback(garbage: str) -> None:
    assert pulse(1.0, [Answer(True, {}, garbage)]).leaders == 0


def test_three_pages_are_one_answer() -> None:
    page = f'ready\n{SEPARATOR} 503\n{{"dor": false}}\n{SEPARATOR} 200\nm 1\n\n{SEPARATOR} 200\n'
    said = answer(page)
    assert said == Answer(False, {"dor": False}, "m 1\n")
    assert answer(page.replace('{"dor": false}', "no json")) == Answer(False, {}, "m 1\n")
    assert answer("") is None
    assert answer(page.replace("m 1\n\n@@stormdesk 200", "\n@@stormdesk 000")) is None


def test_the_99th_percentile_between_two_readings() -> None:
    before = Pulse(0, True, 1, 0, 0, 0, 0, ((0.01, 0), (0.1, 0), (float("inf"), 0)))
    after = Pulse(1, True, 1, 0, 0, 0, 0, ((0.01, 98), (0.1, 99), (float("inf"), 100)))
    assert ack_p99_ms(before, after) == 100.0
    assert ack_p99_ms(after, after) is None  # nothing was acknowledged in between
    assert ack_p99_ms(after, before) is None  # counters of a new process
    assert ack_p99_ms(before, before) is None
    slow = Pulse(1, True, 1, 0, 0, 0, 0, ((0.01, 0), (0.1, 0), (float("inf"), 5)))
    assert ack_p99_ms(before, slow) is None  # beyond the last bucket


def follow(readings: list[tuple[float, Pulse | None]]) -> Recovery:
    recovery = Recovery(100.0, last=at(99.5, 10))
    for t, now in readings:
        recovery.feed(t, now)
    return recovery


def trading(start: float, seconds: float, accepted: int = 20) -> list[tuple[float, Pulse | None]]:
    return [(start + n / 2, at(start + n / 2, accepted + n)) for n in range(int(seconds * 2) + 1)]


def test_trading_that_goes_well_from_the_start_took_no_time() -> None:
    recovery = follow(trading(100.0, STABLE_S))
    assert recovery.settled(100.0 + STABLE_S)
    assert recovery.took_s == 0.0
    assert recovery.why == ""


def test_it_has_recovered_only_once_it_went_well_for_a_while() -> None:
    recovery = follow(trading(100.0, STABLE_S - 0.5))
    assert not recovery.settled(100.0 + STABLE_S - 0.5)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (None, "no trader answers"),
        (at(101.0, 99, ready=False), "no trader is ready"),
        (at(101.0, 99, leaders=0), "0 leaders"),
        (at(101.0, 99, leaders=2), "2 leaders"),
        (at(101.0, 99, refused=3), "orders are refused (3 more)"),
    ],
)
def test_the_clock_runs_until_the_first_good_reading_after_the_last_bad_one(bad: Pulse | None, why: str) -> None:
    recovery = follow([*trading(100.0, 0.5), (101.0, bad)])
    assert recovery.why == why
    assert recovery.took_s is None
    good: list[tuple[float, Pulse | None]] = [
        (103.0 + n / 2, at(103.0 + n / 2, 100 + n, refused=bad.refused if bad else 0)) for n in range(6)
    ]
    for t, now in good:
        recovery.feed(t, now)
    assert recovery.settled(105.5)
    assert recovery.took_s == 3.0


def test_no_accepted_order_for_a_while_is_not_trading() -> None:
    still: list[tuple[float, Pulse | None]] = [(100.0 + n / 2, at(100.0 + n / 2, 20)) for n in range(8)]
    recovery = follow(still)
    assert recovery.why == "no order is accepted"
    assert still[-1][0] - 100.0 > STALL_S


def test_counters_of_a_new_process_are_no_stall() -> None:
    restarted: list[tuple[float, Pulse | None]] = [(100.0, None), *trading(101.0, STABLE_S, accepted=1)]
    recovery = follow(restarted)
    assert recovery.settled(101.0 + STABLE_S)
    assert recovery.took_s == 1.0


MORE = """trader_skipped_total{reason="NO_QUOTE"} 3
trader_skipped_total{reason="BREAKER"} 1
trader_alarms_total{kind="drift"} 2
trader_balance_age_seconds 40
trader_leader_epoch 7
trader_snapshot_buffered 5
"""


def test_what_runbooks_may_expect_besides_is_counted_by_reason_and_kind() -> None:
    other = Answer(True, {}, 'trader_skipped_total{reason="NO_QUOTE"} 1\ntrader_balance_age_seconds 2\n')
    more = pulse(7.0, [Answer(True, {}, MORE), other]).metrics()
    assert (more["skipped"], more["skipped.NO_QUOTE"], more["alarms.drift"]) == (5, 4, 2)
    assert (more["balance_age"], more["epoch"], more["snapshot_buffered"]) == (2, 7, 5)


def test_of_a_trader_that_is_silent_only_the_counters_are_known() -> None:
    more = pulse(7.0, [Answer(True, {}, "")], silent=[Answer(True, {}, MORE)]).metrics()
    assert (more["alarms.drift"], "epoch" in more) == (2, False)
