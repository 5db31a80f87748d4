"""The venue's faults as pure values: seeded, counted, and ended at their deadline."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.testnet.venue import faults
from stormdesk.testnet.venue.faults import FAULTS
from stormdesk.testnet.venue.faults.active_faults import ActiveFaults
from stormdesk.testnet.venue.faults.model import Active, Announce, Asked, EndUserStreams, Refuse, Tell
from stormdesk.testnet.venue.faults.parameter_types import Offset

PLACE = Asked("POST", "order", "desk", "10.0.0.1")
READ = Asked("GET", "account", "desk", "10.0.0.1")
LOOK = Asked("GET", "depth", "", "10.0.0.1", "BTCUSDT")
SHARED = sorted(name for name, kind in FAULTS.items() if "share" in kind.__dataclass_fields__)  # type: ignore[attr-defined]


def decisions(name: str, seed: int, params: dict[str, str]) -> tuple[list[Any], int]:
    """What a fault says to 120 rounds of everything that happens at a venue, and its hits."""
    active_faults = ActiveFaults()
    active = active_faults.begin("f", faults.make(name, params), 60, seed, 0.0)
    said: list[Any] = []
    for n in range(120):
        now = n / 10
        said += [active_faults.refusal(asked, now) for asked in (PLACE, READ, LOOK)]
        for asked in (PLACE, READ, LOOK):
            said.append([act for _, act in active_faults.answer(asked, {"orderId": n, "lastUpdateId": n}, now)])
        said.append(active_faults.market("btcusdt@depth", {"e": "depthUpdate", "u": n}, now))
        said.append(active_faults.market("btcusdt@bookTicker", {"u": n, "b": "1", "a": "2"}, now))
        said.append(active_faults.user("desk", {"e": "executionReport", "i": n}, now))
        limit = active_faults.most(Decimal(8), now)
        said.append(limit[0] if limit else None)
    return said, active.hits


@pytest.mark.parametrize("name", SHARED)
def test_the_same_seed_gives_the_same_decisions_and_another_one_others(name: str) -> None:
    once, hits = decisions(name, 7, {"share": "50"})
    assert decisions(name, 7, {"share": "50"}) == (once, hits)
    assert decisions(name, 8, {"share": "50"})[0] != once
    assert hits or name == "partial-fill"  # whose hits the engine knows


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_says_what_it_is_and_reads_back_what_it_prints(name: str) -> None:
    kind = FAULTS[name]
    assert kind.name == name
    assert kind.title
    assert all(field.metadata["help"] for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    fault = faults.make(name, {})
    assert faults.make(name, faults.parameters(fault)) == fault


@pytest.mark.parametrize("name", FAULTS)
def test_after_its_deadline_a_fault_decides_nothing(name: str) -> None:
    active_faults = ActiveFaults()
    active = active_faults.begin("f", faults.make(name, {}), 5, 1, 100.0)
    assert list(active_faults.active) == ["f"]
    late: Sequence[object] = [
        active_faults.refusal(PLACE, 105.0), active_faults.answer(PLACE, {"orderId": 1}, 105.0), active_faults.holding(105.0),
        active_faults.market("btcusdt@depth", {"e": "depthUpdate"}, 105.0) != ({"e": "depthUpdate"},),
        active_faults.user("desk", {"e": "executionReport"}, 105.0) != ({"e": "executionReport"},),
        active_faults.most(Decimal(1), 105.0), active_faults.offset_s(105.0), active_faults.frozen(105.0), active_faults.greetings(105.0),
        active_faults.refuses_streams(105.0),
    ]  # fmt: skip
    assert not any(late)
    acts = [act for _, act in active_faults.turn(105.0)]
    assert acts[0] == Announce(True)
    assert acts[-1] == Announce(False)
    assert not active_faults.active
    assert not active.on
    assert active_faults.find("f") is active
    assert active_faults.turn(106.0) == []


def test_ending_twice_and_asking_twice_change_nothing() -> None:
    active_faults = ActiveFaults()
    first = active_faults.begin("f", faults.make("delay", {}), 5, 1, 0.0)
    assert active_faults.begin("f", faults.make("freeze", {}), 50, 2, 1.0) is first
    assert active_faults.end("f") is first
    assert active_faults.end("f") is first
    assert active_faults.begin("f", faults.make("delay", {}), 5, 1, 2.0) is first, (
        "a replayed request puts nothing in again"
    )
    assert active_faults.end("g") is None
    assert [act for _, act in active_faults.turn(2.0)] == [Announce(True), Announce(False)]


def test_each_fault_counts_its_own_hits() -> None:
    active_faults = ActiveFaults()
    error = active_faults.begin("e", faults.make("error-5xx", {"share": "100", "when": "before"}), 5, 1, 0.0)
    delay = active_faults.begin("d", faults.make("delay", {"share": "100"}), 5, 1, 0.0)
    for _ in range(3):
        assert isinstance(active_faults.refusal(READ, 1.0), Refuse)
    active_faults.answer(LOOK, {}, 1.0)
    assert (error.hits, delay.hits) == (3, 1)


def test_a_lost_answer_is_final() -> None:
    active_faults = ActiveFaults()
    active_faults.begin("d", faults.make("drop-response", {"share": "100"}), 5, 1, 0.0)
    other = active_faults.begin("p", faults.make("partial-response", {"share": "100"}), 5, 1, 0.0)
    assert len(active_faults.answer(PLACE, {"orderId": 1}, 1.0)) == 1
    assert other.hits == 0


def test_streams_end_again_for_those_who_came_back() -> None:
    active_faults = ActiveFaults()
    active_faults.begin("t", faults.make("token-expiry", {"every": "5s"}), 12, 1, 0.0)
    ends = [n for n in range(12) if any(isinstance(act, EndUserStreams) for _, act in active_faults.turn(float(n)))]
    assert ends == [0, 5, 10]


def test_connections_are_refused_and_each_is_a_hit() -> None:
    active_faults = ActiveFaults()
    refusing = active_faults.begin("r", faults.make("refuse-streams", {}), 12, 1, 0.0)
    active_faults.begin("d", faults.make("delay", {}), 12, 1, 0.0)
    assert EndUserStreams in {type(act) for _, act in active_faults.turn(0.0)}
    assert active_faults.refuses_streams(1.0)
    assert active_faults.refuses_streams(2.0)
    assert refusing.hits == 2


def test_chances_come_as_often_as_the_share_says() -> None:
    active = Active("f", faults.make("delay", {}), 3, 1.0, 1.0)
    share = faults.make("delay", {"share": "30"}).share  # type: ignore[attr-defined]
    assert 250 < sum(active.chance(share) for _ in range(1000)) < 350


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5.0), ("-500ms", -0.5), ("-2m", -120.0)])
def test_a_clock_may_be_ahead_or_behind(text: str, seconds: float) -> None:
    assert float(Offset(text)) == seconds
    assert str(Offset(text)) == text


@pytest.mark.parametrize("text", ["5", "--5s", "fast", ""])
def test_an_invalid_offset_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Offset(text)


@pytest.mark.parametrize(("name", "params"), [("ban", {}), ("rate-limit", {"share": "100"})])
def test_early_requests_are_told_the_same_instant(name: str, params: dict[str, str]) -> None:
    active_faults = ActiveFaults()
    active_faults.begin("b", faults.make(name, {"retry_after": "4s", **params}), 60, 1, 0.0)
    told = [active_faults.refusal(READ, now) for now in (0.0, 1.0, 3.9)]
    assert [(t.until, t.early) for t in told if t] == [(4.0, False), (4.0, True), (4.0, True)]  # type: ignore[union-attr]
    again = active_faults.refusal(READ, 4.0)
    assert again is None if name == "ban" else again.until == 8.0  # type: ignore[union-attr]


def test_only_the_balances_of_the_account_are_a_scope_of_their_own() -> None:
    error = faults.make("error-5xx", {"share": "100", "when": "before", "on": "account"})
    active_faults = ActiveFaults()
    active_faults.begin("f", error, 60, 1, 0.0)
    assert isinstance(active_faults.refusal(READ, 1.0), Refuse)
    assert active_faults.refusal(PLACE, 1.0) is None
    assert active_faults.refusal(LOOK, 1.0) is None


def test_a_report_that_is_sent_again_late_comes_once_more_and_not_for_ever() -> None:
    active_faults = ActiveFaults()
    active = active_faults.begin("f", faults.make("duplicate-report", {"share": "100", "late": "10s"}), 60, 1, 0.0)
    report = {"e": "executionReport", "i": 7}
    assert list(active_faults.user("desk", report, 1.0)) == [report]
    sent = []
    for now in (1.0, 10.0, 11.0, 12.0, 40.0):
        for _, act in active_faults.turn(now):
            if isinstance(act, Tell):
                sent += [now] * len(active_faults.user(act.account, act.document, now))
    assert (sent, active.hits) == ([11.0], 2)  # chosen, and sent again


def test_a_query_does_not_find_an_order_before_the_lag_is_over() -> None:
    active_faults = ActiveFaults()
    active_faults.begin("f", faults.make("query-lag", {"by": "5s"}), 60, 1, 0.0)
    query, listing = Asked("GET", "order", "desk", "10.0.0.1"), Asked("GET", "openOrders", "desk", "10.0.0.1")

    def found(order: int, now: float) -> tuple[bool, bool]:
        active_faults.turn(now)
        asked = active_faults.answer(query, {"orderId": order}, now)
        listed = active_faults.answer(listing, [{"orderId": 1}, {"orderId": order}], now)
        return not asked, not listed

    active_faults.turn(10.0)
    assert active_faults.answer(PLACE, {"orderId": 7}, 10.0) == []
    assert found(7, 12.0) == (False, False)
    assert found(7, 15.0) == (True, True)
    assert found(1, 12.0) == (True, True), "an order from before the fault is known"


@pytest.mark.parametrize(
    ("how", "bid", "ask"), [("flash", "110.00000000", "112.20000000"), ("crossed", "110.00000000", "102")]
)
def test_bad_quotes_are_far_off_or_crossed_and_nothing_else_is_changed(how: str, bid: str, ask: str) -> None:
    active_faults = ActiveFaults()
    active_faults.begin("f", faults.make("bad-quotes", {"how": how, "by": "10", "share": "100"}), 60, 1, 0.0)
    quote = {"b": "100", "B": "1", "a": "102", "A": "1", "u": 4}
    (told,) = active_faults.market("btcusdt@bookTicker", quote, 1.0)
    assert (Decimal(told["b"]), Decimal(told["a"])) == (Decimal(bid), Decimal(ask))
    assert {key: told[key] for key in "BAu"} == {"B": "1", "A": "1", "u": 4}
    depth = {"e": "depthUpdate", "b": [["100", "1"]]}
    assert list(active_faults.market("btcusdt@depth@100ms", depth, 1.0)) == [depth]
