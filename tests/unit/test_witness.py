"""The measurements of peers, judged against their baseline."""

from __future__ import annotations

import pytest

from stormdesk.witness import KINDS
from stormdesk.witness.rate import FRAME, flood

PING = """PING 10.77.1.13 (10.77.1.13) 1400(1428) bytes of data.

--- 10.77.1.13 ping statistics ---
{sent} packets transmitted, {received} received, {loss}% packet loss, time {ms}ms
rtt min/avg/max/mdev = 0.039/0.053/0.094/0.014 ms, pipe 30, ipg/ewma 10.301/0.057 ms
"""
RATE, UNREACHABLE = KINDS["rate"], KINDS["unreachable"]


def test_a_flood_is_read_as_bits_per_second_of_what_came_back() -> None:
    assert RATE.read(0, PING.format(sent=100, received=80, loss=20, ms=500)) == 80 * FRAME * 8 / 0.5
    assert RATE.read(1, PING.format(sent=100, received=0, loss=100, ms=500)) is None
    assert RATE.read(127, "ping: not found") is None
    assert RATE.read(0, PING.format(sent=1, received=1, loss=0, ms=0)) == FRAME * 8 / 0.001


def test_a_flood_asks_for_half_a_second_of_the_rate_within_bounds() -> None:
    assert flood("h", 1e6)[4] == str(round(1e6 * 0.5 / 8 / FRAME) + 20)
    assert flood("h", 64e3)[4] == "23"
    assert flood("h", 1e11)[4] == "50000"


@pytest.mark.parametrize(
    ("before", "now", "agrees"),
    [
        (1e9, 1e6, True), (1e9, 1.29e6, True), (1e9, 1.31e6, False), (1e9, 1e9, False),
        (1.2e6, 1e6, None), (None, 1e6, None), (1e9, None, None),
    ],
)  # fmt: skip
def test_a_rate_is_evidence_only_where_the_link_was_faster_before(
    before: float | None, now: float | None, agrees: bool | None
) -> None:
    assert RATE.judge(before, now, 1e6).agrees is agrees


@pytest.mark.parametrize(
    ("before", "now", "agrees"),
    [
        (0, 1, True),
        (0, 0, False),
        (1, 1, None),
        (1, 0, False),
        (2, 1, None),
        (None, 1, None),
        (0, 2, None),
        (0, None, None),
    ],
)
def test_silence_is_evidence_only_from_a_host_that_answered_before(
    before: int | None, now: int | None, agrees: bool | None
) -> None:
    codes = [None if code is None else UNREACHABLE.read(code, "") for code in (before, now)]
    assert UNREACHABLE.judge(codes[0], codes[1], 0.0).agrees is agrees


SUMMARY = "401 packets transmitted, {received} received{more}, 0% packet loss, time 152ms\n"
RTT = "rtt min/avg/max/mdev = 0.039/{avg}/0.094/0.014 ms"


def test_a_round_trip_is_read_from_both_pings() -> None:
    assert KINDS["round-trip"].read(0, RTT.format(avg="100.5")) == 100.5
    assert KINDS["round-trip"].read(0, "round-trip min/avg/max = 0.1/7.25/0.3 ms") == 7.25
    assert KINDS["round-trip"].read(1, "5 packets transmitted, 0 received") is None


def test_shares_of_packets_are_read() -> None:
    assert KINDS["lost"].read(0, "400 packets transmitted, 300 received, 25% packet loss") == 25
    assert KINDS["lost"].read(0, "4 packets transmitted, 3 packets received, 25% packet loss") == 25
    assert KINDS["lost"].read(2, "ping: unknown host") is None
    assert KINDS["seen-twice"].read(0, SUMMARY.format(received=400, more=", +40 duplicates")) == 10
    assert (
        KINDS["seen-twice"].read(0, "400 packets transmitted, 400 packets received, 40 duplicates, 0% packet loss")
        == 10
    )
    assert KINDS["seen-twice"].read(0, SUMMARY.format(received=400, more="")) == 0
    assert KINDS["damaged"].read(0, "200 20") == KINDS["out-of-order"].read(0, "100 10") == 10
    assert KINDS["damaged"].read(0, "") is KINDS["out-of-order"].read(0, "sh: ping: not found") is None


@pytest.mark.parametrize(
    ("kind", "before", "now", "expected", "agrees"),
    [
        ("round-trip", 0.2, 100.4, 100, True), ("round-trip", 0.2, 82, 100, True), ("round-trip", 0.2, 60, 100, False),
        ("round-trip", 0.2, 0.3, 100, False), ("round-trip", None, 100, 100, None), ("round-trip", 0.2, 240, 100, False),
        ("lost", 0, 10, 10, True), ("lost", 0, 0, 10, False), ("lost", 0, 17, 10, False), ("lost", 10, 20, 10, None),
        ("lost", 0, None, 10, None), ("lost", 0, 100, 100, True), ("lost", 0, 40, 100, False),
        ("seen-twice", 0, 10, 10, True), ("seen-twice", 0, 0, 10, False),
        ("damaged", 0, 10, 10, True), ("damaged", 0, 0, 10, None), ("damaged", 0, 50, 10, False),
        ("out-of-order", 0, 3, 25, True), ("out-of-order", 2, 2, 25, False), ("out-of-order", None, 2, 25, None),
    ],
)  # fmt: skip
def test_what_a_peer_measures_is_judged_within_its_tolerance(
    kind: str, before: float | None, now: float | None, expected: float, agrees: bool | None
) -> None:
    assert KINDS[kind].judge(before, now, expected).agrees is agrees
