"""Situations: each is recognised in a history that was in it, and not in one that only comes near."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.core.journal import read
from stormdesk.core.model import Verdict
from stormdesk.core.runbook import Runbook, Vocabulary, variants
from stormdesk.evidence import cut as cuts
from stormdesk.evidence import report, situations
from stormdesk.evidence.cut.lines import Hold, Meta
from stormdesk.evidence.situations import SITUATIONS, reached
from stormdesk.faults import FAULTS
from stormdesk.run.record import Record
from stormdesk.run.run_checks import Proof
from tests.unit.histories import RECORDED, grown
from tests.unit.planted import FAULT, FULL, LIFTED, History

Plant = Callable[[History], History]
OLD, NEW = (f"x-mix-{epoch}-{base64.b32encode(hashlib.sha256(b's').digest()).decode()[:20]}" for epoch in (1, 2))
SENT = {"method": "POST", "account": "desk"}
WAIT = {"account": "desk", "remote": "a", "code": -1003, "used_weight": 1, "until": 119.0}


def streams(*, user: bool, market: bool) -> dict[str, Any]:
    """A trader's health."""
    return {"user_stream": user, "components": {"Feeder": {"ok": market}}}


# Name: in it, and near it.
PLANTED: dict[str, tuple[Plant, Plant]] = {
    "fill-while-unknown": (
        lambda h: h.order("o", intent=111, accepted=111.1, unknown=112, trades=((113, "1"),), resolved=114),
        lambda h: h.order("o", intent=111, accepted=111.1, unknown=112, trades=((115, "1"),), resolved=114),
    ),
    "accepted-but-unknown": (
        lambda h: h.order("o", intent=111, request=111.1, accepted=111.2, unknown=113),
        lambda h: h.order("o", intent=111, request=111.1, unknown=113).order("p", intent=111, accepted=111.2, ack=111.3),
    ),
    "unknown-never-accepted": (
        lambda h: h.order("o", intent=111, request=111.1, unknown=113, resolved=115),
        lambda h: h.order("o", intent=111, request=111.1, unknown=113).order("p", intent=111, accepted=112, unknown=113, resolved=115),
    ),
    "unknown-for-long": (
        lambda h: h.order("o", intent=111, unknown=112, resolved=117.1),
        lambda h: h.order("o", intent=111, unknown=112, resolved=116.9),
    ),
    "unknown-together": (
        lambda h: h.order("o", intent=111, unknown=112, resolved=114).order("p", intent=111, unknown=113, resolved=116),
        lambda h: h.order("o", intent=111, unknown=112, resolved=114).order("p", intent=111, unknown=115, resolved=116),
    ),
    "lost-request": (
        lambda h: h.order("o", intent=111, unknown=113),
        lambda h: h.order("o", intent=111, request=112, unknown=113),
    ),
    "fill-before-acknowledgement": (
        lambda h: h.order("o", intent=111, accepted=111.1, trades=((111.2, "1"),), ack=111.3),
        lambda h: h.order("o", intent=111, accepted=111.1, trades=((111.4, "1"),), ack=111.3),
    ),
    "several-fills": (
        lambda h: h.order("o", intent=111, accepted=111.1, trades=((112, "0.5"), (113, "0.5"))),
        lambda h: h.order("o", accepted=111.1, trades=((112, "1"),)).order("p", accepted=111.1, trades=((112, "1"),)),
    ),
    "ended-half-filled": (
        lambda h: h.order("o", intent=111, accepted=111.1, trades=((112, "0.5"),), ended=114),
        lambda h: h.order("o", intent=111, accepted=111.1, ended=114).order("p", accepted=111.1, trades=((112, "0.5"),)),
    ),
    "cancel-too-late": (
        lambda h: h.order("o", intent=111, accepted=111.1, cancel=112, trades=((112.5, "1"),)),
        lambda h: h.order("o", intent=111, accepted=111.1, cancel=112, trades=((111.5, "0.5"),), ended=112.5),
    ),
    "rejected-by-venue": (
        lambda h: h.venue("REJECTED", 112, client_order_id="o", account="desk", code=-2010, msg="no"),
        lambda h: h.venue("REJECTED", 90, client_order_id="o", account="desk", code=-2010, msg="no"),
    ),
    "in-flight-at-injection": (
        lambda h: h.order("o", intent=109.9, ack=110.1),
        lambda h: h.order("o", intent=109.8, ack=109.9).order("p", intent=110.1, ack=110.2),
    ),
    "in-flight-at-lift": (
        lambda h: h.order("o", intent=119.9, ack=120.1),
        lambda h: h.order("o", intent=119.8, ack=119.9).order("p", intent=120.1, ack=120.2),
    ),
    "resting-at-injection": (
        lambda h: h.order("o", intent=108, accepted=109, ended=113),
        lambda h: h.order("o", intent=108, accepted=108.1, ended=109).order("p", accepted=108.1, trades=((109.5, "1"),)),
    ),
    "filled-under-fault": (
        lambda h: h.order("o", accepted=105, trades=((115, "1"),)),
        lambda h: h.order("o", accepted=115, trades=((120.5, "1"),)),
    ),
    "traded-under-fault": (lambda h: h.order("o", accepted=115), lambda h: h.order("o", accepted=121).order("p", intent=115, request=115)),
    "stood-still-under-fault": (
        lambda h: h.order("o", accepted=111).order("p", accepted=117),
        lambda h: h.order("o", accepted=112).order("p", accepted=116),
    ),
    "answered-after-lift": (
        lambda h: h.order("o", intent=118, ack=121),
        lambda h: h.order("o", intent=118, ack=119).order("p", intent=109, ack=121).order("q", intent=118),
    ),
    "taken-back": (
        lambda h: h.order("o", accepted=111, trades=((112, "1"),)).ledger("FILL", 113, trade_id=5, client_order_id="o")
        .venue("ROLLBACK", 114, to_seq=5),
        lambda h: h.order("o", accepted=111, trades=((112, "1"),)).ledger("FILL", 113, trade_id=5, client_order_id="o")
        .venue("ROLLBACK", 114, to_seq=7),
    ),
    "duplicate-signal": (lambda h: h.skip("DUPLICATE_SIGNAL"), lambda h: h.skip("DUPLICATE_SIGNAL", 99)),
    "sell-without-position": (lambda h: h.skip("SKIP_NO_POSITION"), lambda h: h.skip("NO_QUOTE")),
    "no-quote": (lambda h: h.skip("NO_QUOTE"), lambda h: h.skip("NO_DATABASE")),
    "price-refused": (lambda h: h.skip("FLASH_PRICE"), lambda h: h.skip("NO_QUOTE")),
    "balance-in-doubt": (lambda h: h.skip("BALANCE_NOT_FRESH"), lambda h: h.skip("INSUFFICIENT_BALANCE")),
    "too-poor": (lambda h: h.skip("INSUFFICIENT_BALANCE"), lambda h: h.skip("BALANCE_NOT_FRESH")),
    "limit-reached": (lambda h: h.skip("MAX_MESSAGES"), lambda h: h.skip("THROTTLE_QUEUE_FULL")),
    "queue-full": (lambda h: h.skip("THROTTLE_QUEUE_FULL"), lambda h: h.skip("MAX_MESSAGES")),
    "no-database": (lambda h: h.skip("NO_DATABASE"), lambda h: h.ledger("REJECT", 112, reason="NO_DATABASE", client_order_id="o")),
    "signal-at-a-shut-gate": (lambda h: h.skip("GATE_CLOSED"), lambda h: h.gate("pause", 112, 113)),
    "disk-refused": (lambda h: h.row("REJECTED", FULL), lambda h: h.row("REJECTED", "price").row("FILLED", FULL).row("REJECTED", FULL, 99)),
    "kill-switch-on": (lambda h: h.gate("kill_switch", 112), lambda h: h.gate("kill_switch", 90, 95)),
    "desk-paused": (lambda h: h.gate("pause", 112, 113), lambda h: h.gate("reconcile", 112, 113)),
    "breaker-open": (lambda h: h.gate("breaker:X", 112, 113), lambda h: h.gate("repeats:mix", 112, 113)),
    "strategy-blocked": (lambda h: h.gate("repeats:mix", 112, 113), lambda h: h.gate("breaker:X", 112, 113)),
    "stopped-by-guard": (lambda h: h.state("STOP.TXT", "dead"), lambda h: h.state("global_flags.json", '{"SIGNAL_READ_ONLY": false}')),
    "broker-gone": (lambda h: h.gate("broker", 112, 113), lambda h: h.gate("broker", 90, 99)),
    "reopened-and-traded": (
        lambda h: h.gate("pause", 112, 113).order("o", accepted=114),
        lambda h: h.gate("pause", 112, 115).order("o", accepted=114).gate("stop", 121, 122).gate("broker", 113, host="b"),
    ),
    "in-flight-at-a-closing-gate": (
        lambda h: h.order("o", intent=112, accepted=112.5).gate("pause", 112.2),
        lambda h: h.order("o", intent=112, accepted=112.5).gate("pause", 112.2, host="b").gate("pause", 112.6),
    ),
    "two-gates": (
        lambda h: h.gate("pause", 112, 115).gate("stop", 113, 114),
        lambda h: h.gate("pause", 112, 113).gate("stop", 114, 115).gate("stop", 112, 115, "b"),
    ),
    "filled-behind-a-shut-gate": (
        lambda h: h.order("o", intent=111, accepted=111.1, trades=((113, "1"),)).gate("pause", 112, 114),
        lambda h: h.order("o", intent=111, accepted=111.1, trades=((115, "1"),)).gate("pause", 112, 114).gate("pause", 112, 120, "b"),
    ),
    "nobody-led": (lambda h: h.sample(112, leaders=0), lambda h: h.sample(112, silent=True)),
    "two-said-they-lead": (lambda h: h.sample(112, leaders=2), lambda h: h.sample(112, leaders=0).sample(113, leaders=1)),
    "fault-while-nobody-led": (
        lambda h: h.sample(109.5, leaders=0),
        lambda h: h.sample(109, leaders=0).sample(109.5, leaders=1).sample(111, leaders=0),
    ),
    "leader-changed-under-fault": (lambda h: h.epoch(2, "b", 115), lambda h: h.epoch(2, "a", 115).epoch(3, "b", 121)),
    "in-flight-at-takeover": (
        lambda h: h.order("o", intent=114.9, ack=115.1).epoch(2, "b", 115),
        lambda h: h.order("o", intent=114.9, ack=115.1).epoch(2, "a", 115).epoch(3, "b", 116),
    ),
    "deposed-leader-sent": (
        lambda h: h.epoch(2, "b", 115).venue("REQUEST", 116, client_order_id=OLD, **SENT),
        lambda h: h.epoch(2, "b", 115).venue("REQUEST", 114, client_order_id=OLD, **SENT)
        .venue("REQUEST", 116, client_order_id=NEW, **SENT),
    ),
    "told-to-wait": (lambda h: h.venue("THROTTLED", 112, status=429, **WAIT), lambda h: h.venue("THROTTLED", 112, status=418, **WAIT)),
    "banned": (lambda h: h.venue("THROTTLED", 112, status=418, **WAIT), lambda h: h.venue("THROTTLED", 112, status=429, **WAIT)),
    "came-early": (
        lambda h: h.venue("EARLY", 112, account="desk", remote="a", until=119),
        lambda h: h.venue("THROTTLED", 112, status=429, **WAIT),
    ),
    "trades-rolled-back": (lambda h: h.venue("ROLLBACK", 112, to_seq=1), lambda h: h.venue("ROLLBACK", 90, to_seq=1)),
    "order-by-hand": (
        lambda h: h.venue("MARK", 112, what="external-order", detail={"client_order_id": "web_1"}),
        lambda h: h.venue("MARK", 112, what="breakpoint", detail={"client_order_id": "web_1", "state": "over"}),
    ),
    "venue-restarted": (lambda h: h.venue("OPEN", 112, accounts={}), lambda h: h.venue("OPEN", 90, accounts={})),
    "event-was-held": (
        lambda h: h.said("breakpoint.over", 113, host="a", at="venue:accepted:3", held=True),
        lambda h: h.said("breakpoint.over", 113, host="a", at="venue:accepted:3", held=False)
        .venue("MARK", 125, what="breakpoint", detail={"state": "holding", "on": "accepted"}),
    ),
    "venue-fault-under-fault": (
        lambda h: h.venue("FAULT", 112, name="delay", on=True),
        lambda h: h.venue("FAULT", 105, name="delay", on=True).venue("FAULT", 112, name="delay", on=False),
    ),
    "two-faults": (lambda h: h.fault("x", 115, 130), lambda h: h.fault("x", 120, 130)),
    "fault-before-recovery": (
        lambda h: h.fault("x", 125, 130),
        lambda h: h.order("o", accepted=123).fault("x", 125, 130).fault("y", 115, 119),
    ),
    "nobody-answered": (lambda h: h.sample(112, silent=True), lambda h: h.sample(101, silent=True, phase="steady").sample(112, accepted=0)),
    "not-ready": (lambda h: h.sample(112, ready=0), lambda h: h.sample(112, silent=True)),
    "refused-then-traded": (
        lambda h: h.sample(114, accepted=9, refused=0).sample(115, accepted=9, refused=3).sample(122, accepted=12, refused=3),
        lambda h: h.sample(106, accepted=6, refused=3),
    ),
    "backfilled": (lambda h: h.received(112, "backfill"), lambda h: h.received(90, "backfill")),
    "book-built-anew": (lambda h: h.received(112, "snapshot"), lambda h: h.received(112, "stream")),
    "message-twice": (lambda h: h.bus("m1"), lambda h: h.bus("m3")),
    "line-put-aside": (lambda h: h.aside(), lambda h: h.gate("reconcile", 112, 113)),
    "guard-restarted": (
        lambda h: h.sample(112, {"a": {"guard": {"stage": "RESTART"}}}),
        lambda h: h.sample(112, {"a": {"guard": {"stage": "OBSERVE"}, "stage": "RESTART"}}),
    ),
    "guard-gave-up": (
        lambda h: h.sample(112, {"a": {"guard": {"stage": "FAILSAFE"}}}),
        lambda h: h.sample(112, {"a": {"guard": {"stage": "REWIRE"}}}),
    ),
    "stream-lost-while-market-lives": (
        lambda h: h.sample(112, {"a": streams(user=False, market=True)}),
        lambda h: h.sample(112, {"a": streams(user=False, market=False), "b": streams(user=True, market=True)}),
    ),
}  # fmt: skip


LASTING = ("kill-switch-on", "stopped-by-guard")  # still shut when the run begins
TIMELESS = ("message-twice", "line-put-aside")  # their lines have no instants


def test_there_is_a_planted_one_for_each_and_each_is_one_sentence() -> None:
    assert set(PLANTED) == set(SITUATIONS)
    assert len(SITUATIONS) >= 40
    assert [name for name in SITUATIONS if not re.fullmatch(r"[A-Z].*\.", situations.says(name))] == []


def test_a_calm_run_is_in_none() -> None:
    events, cut = History().run
    assert reached([event for event in events if event not in (FAULT, LIFTED)], cut) == {}
    assert reached([], None) == {}


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_is_recognised(name: str) -> None:
    there, near = PLANTED[name]
    found = reached(*there(History()).run)
    assert name in found, found
    assert "\n" not in found[name]
    assert name not in reached(*near(History()).run)


def test_what_happened_before_the_run_does_not_count() -> None:
    """A cut has all that ever happened in its environment."""
    for name, (there, _) in PLANTED.items():
        events, cut = there(History()).run
        assert events
        if name not in (*LASTING, *TIMELESS):
            assert name not in reached([{"event": "run.started", "t": 200.0, "fault": "cut"}], cut), name


def test_a_leader_that_is_silent_for_a_moment_may_still_lead() -> None:
    """Its own answer is what makes it count; under load it comes late."""
    says = {name: {"leader": {"is_leader": name == "a"}} for name in "ab"}
    late = History().sample(108, says).sample(109.5, {"a": {"guard": {}}, "b": says["b"]}, leaders=0, ready=0)
    assert not {"nobody-led", "fault-while-nobody-led", "not-ready"} & set(reached(*late.run))
    both = History().sample(108, says).sample(109.5, says, leaders=0)
    gone = History().sample(106, says).sample(107.4, {"b": says["b"]}, leaders=0).sample(109.5, {"b": says["b"]}, leaders=0)
    for history in (both, gone):
        assert {"nobody-led", "fault-while-nobody-led"} <= set(reached(*history.run))


def test_what_the_cut_itself_did_does_not_count() -> None:
    """It cancels what rests, and refuses what comes."""
    history = History().order("o", intent=124, accepted=124.1, ack=124.2, trades=((124.5, "0.5"),), ended=131).skip("GATE_CLOSED", 131)
    events, cut = history.run
    assert {"ended-half-filled", "signal-at-a-shut-gate"} <= set(reached(events, cut))
    hold = Hold(started=130.0, ended=132.0)
    meta = Meta(t=132.0, environment="e", hosts=(), traders=("a", "b"), drain_s=1.0, hold=hold)
    assert not {"ended-half-filled", "signal-at-a-shut-gate"} & set(reached(events, replace(cut, meta=meta)))


def test_a_recorded_run_was_in_some() -> None:
    events = read((RECORDED.parent / "events.jsonl").read_bytes(), "events.jsonl")
    found = reached(events, cuts.parse(grown()))
    assert {"disk-refused", "filled-under-fault", "resting-at-injection", "refused-then-traded"} <= set(found)
    assert not {"nobody-led", "kill-switch-on", "two-faults", "venue-restarted", "trades-rolled-back"} & set(found)


def test_what_a_runbook_demands_is_unknown_until_it_was_reached() -> None:
    held, unknown = situations.demanded(["two-faults", "banned"], {"two-faults": "x on a and y on b"})
    assert (held.id, held.verdict, held.why) == ("situation two-faults", Verdict.HELD, "x on a and y on b")
    assert (unknown.id, unknown.verdict) == ("situation banned", Verdict.UNKNOWN)
    assert unknown.why == "it did not come to it: The venue answered 418: banned."


def test_the_page_has_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "situations.md").read_text()
    assert [name for name in SITUATIONS if f"| `{name}` | {situations.says(name)} |" not in page] == []


def book(names: str) -> Runbook:
    text = f"# x\n```yaml\ntitle: t\nrto_s: 30\nsteps:\n  - {{fault: noop, host: a, for: 5s}}\nsituations: {names}\n```\n"
    return variants(text, "book.md", Vocabulary(FAULTS, (), situations=tuple(SITUATIONS)))[0]


def test_a_runbook_names_them_and_a_wrong_name_is_an_error_with_its_place() -> None:
    assert book("[banned, two-faults]").situations == ("banned", "two-faults")
    with pytest.raises(UsageError, match=r"book\.md:7:14 situations\[0\]: no situation 'two-fault'\. The nearest: two-faults"):
        book("[two-fault]")


class Cuts(Proof):
    """A proof whose cut was taken before."""

    def __init__(self, folder: Path, trading: bool) -> None:
        self.record = Record(folder / "r", "r")
        self.pool = cast("Any", SimpleNamespace(inventory=SimpleNamespace(trading=trading)))


@pytest.mark.parametrize("trading", [True, False])
def test_a_run_records_those_that_it_was_in(trading: bool, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    for name, data in grown().items():
        (folder / name).write_bytes(data)
    proof = Cuts(tmp_path, trading)
    proof.record.event("run.started", t=1.0)
    wanted = ["disk-refused", "banned"] if trading else []
    checks = proof._situations(folder, wanted)
    proof.record.close()
    events = proof.record.events()
    assert [(check.id, check.verdict.value) for check in checks] == [
        ("situation disk-refused", "held"), ("situation banned", "unknown"),
    ][: 2 * trading]  # fmt: skip
    if trading:
        assert events[-1]["event"] == "situations"
        assert (events[-1]["of"], "disk-refused" in events[-1]["reached"]) == (len(SITUATIONS), True)
        ended = report.scorecard([*events, {"event": "verdict", "t": 2.0, "verdict": "unknown", "residue": "clean", "why": "x"}], None)
        assert "disk-refused" in ended["situations"]
    else:
        assert "situations" not in {event["event"] for event in events}, "hosts without a stack: nobody looked"
