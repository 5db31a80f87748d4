"""The judges of leaders, gates, processes and limits, and the quarantine rules: one fact changed, one source empty."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.cut.lines import Retry
from stormdesk.evidence.judges import applicable
from stormdesk.testnet import resilience
from tests.unit.histories import (
    LEDGER,
    Change,
    Files,
    client_order_id,
    damage,
    document,
    grown,
    judge,
    of_kind,
    put_aside,
    rows,
    write,
    write_journal,
    write_ledger,
)


@pytest.fixture
def history() -> Files:
    return grown()


# -- I-06 --------------------------------------------------------------------------------------------------------------


def rival(files: Files, epoch: int, at: int, **keys: object) -> str:
    """A request of another epoch, signed right after the request number `at`."""
    lines = rows(files, "venue.jsonl")
    model = of_kind(lines, "REQUEST", method="POST")[at]
    other = model | {"client_order_id": client_order_id(f"mix:{epoch}:1", epoch), "timestamp": model["timestamp"] + 1}
    write_journal(files, [*lines, other | keys])
    return str(other["client_order_id"])


def old_leader_goes_on(files: Files) -> str:
    return rival(files, 2, 20)


def new_leader_in_between(files: Files) -> str:
    """A higher epoch that was granted: then what the old one sent after it is what is wrong."""
    write(files, "epochs.jsonl", [*rows(files, "epochs.jsonl"), {"epoch": 4, "instance": "trader-b", "granted_t": 1.0}])
    rival(files, 4, 20)
    posts = of_kind(rows(files, "venue.jsonl"), "REQUEST", method="POST")
    return str(posts[21]["client_order_id"])


def epoch_never_granted(files: Files) -> str:
    write(files, "epochs.jsonl", [{"epoch": 2, "instance": "trader-b", "granted_t": 1.0}])
    return "epoch 3 was never granted"


def epoch_of_two_hosts(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    other = of_kind(lines, "REQUEST", method="POST")[30]
    other["remote"] = "10.77.1.14"
    write_journal(files, lines)
    return "10.77.1.13 and 10.77.1.14"


def order_of_another_instance(files: Files) -> str:
    lines = rows(files, "orders.jsonl")
    lines[9]["instance"] = "trader-b"
    write(files, "orders.jsonl", lines)
    return str(lines[9]["client_order_id"])


def test_an_order_that_is_signed_before_the_new_leaders_first_may_arrive_after_it(history: Files) -> None:
    posts = of_kind(rows(history, "venue.jsonl"), "REQUEST", method="POST")
    rival(history, 2, 0, timestamp=posts[0]["timestamp"] - 1)
    assert judge("I-06", history)[0] is Verdict.HELD


def test_a_new_leader_may_cancel_what_the_old_one_ordered(history: Files) -> None:
    rival(history, 2, 20, method="DELETE")
    assert judge("I-06", history)[0] is Verdict.HELD


# -- I-07 --------------------------------------------------------------------------------------------------------------


def gate(files: Files, name: str, since: float, until: float | None = None) -> None:
    lines = rows(files, LEDGER)
    line = {"v": 1, "kind": "GATE", "client_order_id": "", "gate": name, "reason": "planted", "on": True, "t": since}
    write_ledger(files, [*lines, line, *([line | {"on": False, "t": until}] if until else [])])


def accepted(files: Files) -> list[dict[str, Any]]:
    return of_kind(rows(files, "venue.jsonl"), "ACCEPTED")


def ordered_while_killed(files: Files) -> str:
    last = accepted(files)[-1]
    gate(files, "kill_switch", last["t"] - 5.01)
    return str(last["client_order_id"])


def ordered_while_paused(files: Files) -> str:
    order = accepted(files)[50]
    gate(files, "pause", order["t"] - 5.01, order["t"] + 0.01)
    return str(order["client_order_id"])


def ordered_while_the_breaker_was_open(files: Files) -> str:
    last = accepted(files)[-1]
    gate(files, f"breaker:{last['symbol']}", last["t"] - 5.01)
    return str(last["client_order_id"])


def ordered_by_a_runaway_strategy(files: Files) -> str:
    last = accepted(files)[-1]
    gate(files, "repeats:mix", last["t"] - 5.01)
    return str(last["client_order_id"])


def ordered_with_a_stop_file(files: Files) -> str:
    """The ledger has no line about it: the file was there."""
    last = accepted(files)[-1]
    files["state-files.json"] = json.dumps(
        {"trader-a": {"STOP.TXT": {"mtime": last["t"] - 5.01, "content": ""}}, "trader-b": {}}
    ).encode()
    return str(last["client_order_id"])


def ordered_with_a_corrupt_kill_switch(files: Files) -> str:
    last = accepted(files)[-1]
    state = {"execution/kill_switch_state.json": {"mtime": last["t"] - 5.01, "content": "{\u0000"}}
    files["state-files.json"] = json.dumps({"trader-a": state, "trader-b": {}}).encode()
    return str(last["client_order_id"])


def test_what_was_on_its_way_may_arrive_after_the_gate_is_shut(history: Files) -> None:
    gate(history, "kill_switch", accepted(history)[-1]["t"] - 4.9)
    assert judge("I-07", history)[0] is Verdict.HELD


def test_a_breaker_shuts_its_own_symbol_only_and_a_runaway_its_own_strategy(history: Files) -> None:
    gate(history, "breaker:DOGEUSDT", 1.0)
    gate(history, "repeats:fast", 1.0)
    assert judge("I-07", history)[0] is Verdict.HELD


def test_a_strategy_that_was_shut_stops_no_other(history: Files) -> None:
    last = accepted(history)[-1]
    gate(history, "repeats:fast", 1.0)
    assert judge("I-07", history)[0] is Verdict.HELD
    gate(history, "repeats:mix", last["t"] - 5.01)
    verdict, why = judge("I-07", history)
    assert verdict is Verdict.VIOLATED
    assert last["client_order_id"] in why


def test_a_gate_of_the_standby_is_not_the_leaders(history: Files) -> None:
    state = {"trader-b": {"STOP.TXT": {"mtime": 1.0, "content": ""}}, "trader-a": {}}
    history["state-files.json"] = json.dumps(state).encode()
    assert judge("I-07", history)[0] is Verdict.HELD


def test_without_a_closed_gate_nothing_is_judged(history: Files) -> None:
    lines = rows(history, LEDGER)
    write_ledger(history, [line for line in lines if line["kind"] != "GATE"])
    assert "I-07" not in applicable(cuts.parse(history))
    assert judge("I-07", history) == (Verdict.UNKNOWN, "0 gates shut seen, at least 1 needed")


# -- I-08 --------------------------------------------------------------------------------------------------------------


def received(files: Files, change: Callable[[list[dict[str, Any]]], object], symbol: str = "ETHUSDT") -> None:
    lines = rows(files, f"md-{symbol}.jsonl")
    change(lines)
    write(files, f"md-{symbol}.jsonl", lines)


def trade_that_never_came(files: Files) -> str:
    trades = [line for line in rows(files, "md-ETHUSDT.jsonl") if line["what"] == "trades"]
    received(files, lambda lines: lines.remove(trades[4]))
    return f"ETHUSDT: trade {trades[4]['first']} never came, nor 0 others"


def backfill_skipped(files: Files) -> str:
    """The last trades too: what the venue made counts, not what the feeder heard of last."""
    trades = [line for line in rows(files, "md-ETHUSDT.jsonl") if line["how"] == "backfill"]
    received(files, lambda lines: [lines.remove(line) for line in trades])
    return f"ETHUSDT: trade {trades[0]['first']} never came, nor 4 others"


def trade_that_nobody_made(files: Files) -> str:
    received(files, lambda lines: lines.append({"what": "trades", "first": 10**9, "last": 10**9, "how": "stream"}))
    return "trade 1000000000 came, and the venue never made it"


def depth_gap_without_a_snapshot(files: Files) -> str:
    received(files, lambda lines: lines.remove(next(line for line in lines if line["first"] == 180)))
    return "ETHUSDT: update 181 came after 160, without a snapshot"


def level_of_another_size(files: Files) -> str:
    document(files, "depth.json", lambda depth: depth["BTCUSDT"]["bids"][1].__setitem__(1, "1.6"))
    return "BTCUSDT at update 200: bid 2 is 1.5 at 99.8, at the venue 1.6 at 99.8"


def level_too_many(files: Files) -> str:
    document(files, "books.json", lambda books: books["BTCUSDT"]["asks"].append(["101", "1"]))
    return "BTCUSDT at update 200: 2 asks, at the venue 1"


def book_out_of_sync(files: Files) -> str:
    document(files, "books.json", lambda books: books["ETHUSDT"].update(synced=False))
    return "ETHUSDT: the feeder's book is out of sync"


def test_the_feeder_is_not_judged_on_what_it_cannot_know(history: Files) -> None:
    """Trades of before its first one."""
    received(history, lambda lines: lines.remove(next(line for line in lines if line["what"] == "trades")))
    assert judge("I-08", history)[0] is Verdict.HELD


# -- I-11 --------------------------------------------------------------------------------------------------------------


def lies_out_of_order(files: Files) -> str:
    lines = rows(files, "bus.jsonl")
    lines[5], lines[6] = lines[6], lines[5]
    write(files, "bus.jsonl", lines)
    return "BTCUSDT: message 6 of run 7 lies on the bus after 7"


def reader_behind(files: Files) -> str:
    document(files, "consumers.json", lambda readers: readers["trader-b"].update(lag=12))
    return "trader-b: 12 behind"


def second_effect(files: Files) -> str:
    document(files, "consumers.json", lambda readers: readers["trader-a"].update(out_of_order=3))
    return "trader-a: 3 messages after a later one"


def garbage_on_the_bus(files: Files) -> str:
    document(files, "consumers.json", lambda readers: readers["trader-a"].update(malformed=1))
    return "trader-a: 1 messages that are none"


def test_a_restarted_feeder_starts_its_numbers_anew(history: Files) -> None:
    lines = rows(history, "bus.jsonl")
    again = [line | {"run": 8, "n": n, "id": f"later:{n}"} for n, line in enumerate(lines[:5], 1)]
    late = lines[6] | {"id": "late:1", "n": 99}  # of the run before, and still on its way
    write(history, "bus.jsonl", [*lines, *again, late])
    assert judge("I-11", history)[0] is Verdict.HELD


# -- I-10 --------------------------------------------------------------------------------------------------------------


def processes(files: Files, **trader: int) -> None:
    document(files, "processes.json", lambda found: found["trader-a"]["trader"].update(trader))


def claim(files: Files, least: int, most: int) -> None:
    restarts = {"trader-a": {"trader": [least, most]}}
    document(files, "meta.json", lambda meta: meta["processes_before"].update(restarts=restarts))


def another_process(files: Files) -> str:
    processes(files, pid=40, start_ticks=1000)
    return "trader on trader-a: was process 30, is process 40"


def same_number_later(files: Files) -> str:
    processes(files, start_ticks=1000)
    return "trader on trader-a: was process 30"


def process_gone(files: Files) -> str:
    document(files, "processes.json", lambda found: found["trader-a"].pop("trader"))
    return "trader on trader-a: no such process"


def never_restarted(files: Files) -> str:
    claim(files, 1, 1)
    return "still process 30, a restart is claimed"


def restarted_too_often(files: Files) -> str:
    processes(files, pid=40, start_ticks=1000, spawns=4)
    claim(files, 1, 1)
    return "started 3 times, 1 to 1 claimed"


def test_an_expected_restart_is_not_a_violation(history: Files) -> None:
    processes(history, pid=40, start_ticks=1000, spawns=2)
    claim(history, 1, 1)
    assert judge("I-10", history)[0] is Verdict.HELD


def test_a_host_whose_processes_nobody_saw_is_unknown(history: Files) -> None:
    document(history, "processes.json", lambda found: found.pop("venue"))
    assert judge("I-10", history) == (Verdict.UNKNOWN, "venue was not asked")


# -- I-12 --------------------------------------------------------------------------------------------------------------


def throttled(files: Files, *more: dict[str, object], **keys: object) -> None:
    """Change the one 429 of the history, and let lines follow it."""
    lines = rows(files, "venue.jsonl")
    at = next(i for i, line in enumerate(lines) if line["kind"] == "THROTTLED")
    lines[at] |= keys
    write_journal(files, [*lines[: at + 1], *(lines[at] | line for line in more), *lines[at + 1 :]])


def came_too_early(files: Files) -> str:
    at = of_kind(rows(files, "venue.jsonl"), "THROTTLED")[0]["t"]
    throttled(files, {"kind": "EARLY", "t": at + 1.5, "until": at + 9}, until=at + 9)
    return "10.77.1.13 came 7.5 s before it might"


def never_stops(files: Files) -> str:
    """Each early request is told to wait anew: the first time counts."""
    at = of_kind(rows(files, "venue.jsonl"), "THROTTLED")[0]["t"]
    again: list[dict[str, object]] = [{"t": at + n / 2, "until": at + 9} for n in range(1, 5)]
    throttled(files, *(line | {"kind": kind} for line in again for kind in ("EARLY", "THROTTLED")), until=at + 9)
    return "came 7.5 s before it might"


def banned(files: Files) -> str:
    throttled(files, status=418)
    return "banned (418)"


def over_the_limit(files: Files) -> str:
    throttled(files, used_weight=6001)
    return "a weight of 6001"


def refused(files: Files, *pauses: float, lasting: float = 2.0) -> None:
    """A fault refuses connections from now on: tries of the leader come after these pauses, and it ends `lasting` s after the last."""
    lines = rows(files, "venue.jsonl")
    t = float(str(lines[-1]["t"])) + 1
    fault: dict[str, object] = {"kind": "FAULT", "name": "refuse-streams", "on": True, "t": t}
    tries: list[dict[str, object]] = []
    for pause in pauses:
        t += pause
        tries.append({"kind": "REFUSED", "remote": "10.77.1.13", "t": t})
    stranger = {"kind": "REFUSED", "remote": "10.77.1.99", "t": t}
    write_journal(files, [*lines, fault, *tries, stranger, fault | {"on": False, "t": t + lasting}])


def does_not_wait_longer(files: Files) -> str:
    refused(files, 1.0, 1.0, 1.0)
    return "10.77.1.13 tried again after 1.00 s; refused 1 times, it should have waited 2 s"


def waits_too_long(files: Files) -> str:
    refused(files, 1.0, 1.8, 3.9, 8.0, 16.0)
    return "10.77.1.13 did not try again for 16.0 s; refused 4 times, it should have after 10 s"


def gives_up(files: Files) -> str:
    refused(files, 1.0, lasting=30.0)
    return "10.77.1.13 did not try again for 30.0 s; refused 1 times, it should have after 2 s"


def test_growing_pauses_are_as_they_should_be(history: Files) -> None:
    refused(history, 0.9, 1.7, 3.5, 7.0, 10.1, 9.0, lasting=5.0)
    verdict, why = judge("I-12", history)
    assert verdict is Verdict.HELD
    assert why.endswith("7 connections refused, tried again with pauses of 0.9, 1.7, 3.5, 7.0, 10.1, 9.0 s")


def test_the_pauses_are_those_that_the_traders_are_configured_for(history: Files) -> None:
    refused(history, 0.9, 1.7, 1.7, 1.9)
    assert judge("I-12", history)[1].startswith("10.77.1.13 tried again after 1.70 s; refused 2 times, it should have waited 4 s")
    meta = json.loads(history["meta.json"])
    history["meta.json"] = json.dumps(meta | {"retry": {"cap_s": 2}}).encode()
    assert judge("I-12", history)[0] is Verdict.HELD
    refused(history, 0.9, 1.5)
    assert judge("I-12", history)[1].endswith("refused 1 times, it should have waited 2 s")


def test_without_a_word_on_it_the_pauses_are_those_of_the_stack() -> None:
    usual = resilience.load({}).retry
    assert msgspec.to_builtins(Retry()) == {name: getattr(usual, name) for name in ("base_s", "factor", "cap_s", "jitter")}


def test_pauses_are_not_judged_by_a_configuration_that_could_not_be_read(history: Files) -> None:
    history["meta.json"] = json.dumps(json.loads(history["meta.json"]) | {"retry": None}).encode()
    assert judge("I-12", history)[0] is Verdict.HELD
    refused(history, 1.0, 1.0, 1.0)
    assert judge("I-12", history) == (Verdict.UNKNOWN, "how long a trader waits between tries could not be read")


def test_a_venue_that_starts_again_ends_the_refusing(history: Files) -> None:
    refused(history, 1.0, lasting=300.0)
    lines = rows(history, "venue.jsonl")
    write_journal(history, [*lines[:-1], lines[0] | {"t": lines[-1]["t"]}])
    assert judge("I-12", history)[0] is Verdict.HELD


def test_requests_in_flight_at_a_429_are_not_a_breach(history: Files) -> None:
    at = of_kind(rows(history, "venue.jsonl"), "THROTTLED")[0]["t"]
    throttled(history, {"kind": "EARLY", "t": at + 0.4, "until": at + 9.0001}, until=at + 9)  # told anew, a bit later
    assert judge("I-12", history)[0] is Verdict.HELD


def test_a_ban_by_a_fault_is_not_the_desks(history: Files) -> None:
    throttled(history, status=418)
    lines = rows(history, "venue.jsonl")
    fault = {"kind": "FAULT", "name": "http-418", "on": True, "t": 1.0}
    write_journal(history, [lines[0], fault, *lines[1:], fault | {"on": False}])
    assert judge("I-12", history)[0] is Verdict.HELD
    lines = rows(history, "venue.jsonl")
    lines.insert(2, lines[0])  # the venue started again, and its faults were gone
    write_journal(history, lines)
    assert judge("I-12", history)[0] is Verdict.VIOLATED


# -- I-05: quarantine --------------------------------------------------------------------------------------------------


def damaged_and_nobody_noticed(files: Files) -> str:
    damage(files, 20)
    return "line 21 is not a ledger line"


def quarantine_rewritten(files: Files) -> str:
    offset, raw = damage(files, 20)
    put_aside(files, offset, raw[:-1] + b"x")
    return f"quarantine line 1 is not what stands in the ledger at offset {offset}"


def ledger_rewritten(files: Files) -> str:
    """The bad line is in quarantine, and taken out of the ledger, whose chain is made anew."""
    offset, raw = damage(files, 20)
    put_aside(files, offset, raw)
    lines = [json.loads(line) for line in files[LEDGER].splitlines() if line != raw]
    write_ledger(files, lines)
    return f"is not what stands in the ledger at offset {offset}"


def good_line_put_aside(files: Files) -> str:
    raw = files[LEDGER].split(b"\n")
    put_aside(files, sum(len(line) + 1 for line in raw[:20]), raw[20])
    return "line 21 is put aside and nothing is wrong with it"


def two_lines_gone_one_put_aside(files: Files) -> str:
    offset, raw = damage(files, 20)
    lines = files[LEDGER].split(b"\n")
    del lines[21]
    files[LEDGER] = b"\n".join(lines)
    put_aside(files, offset, raw)
    return "has seq 23, expected 22"


@pytest.mark.parametrize("number", [0, 20, 399])
def test_only_quarantined_lines_are_excepted(history: Files, number: int) -> None:
    put_aside(history, *damage(history, number))
    verdict, why = judge("I-05", history)
    assert (verdict, why) == (Verdict.HELD, "405 lines, chain and seq unbroken, 1 put aside")


def test_a_quarantined_answer_is_not_a_lost_order(history: Files) -> None:
    number = next(i for i, line in enumerate(rows(history, LEDGER)) if line["kind"] == "ACK" and i > 40)
    put_aside(history, *damage(history, number))
    assert judge("I-03", history)[0] is Verdict.HELD


def test_a_quarantined_intent_is_not_an_unaudited_order(history: Files) -> None:
    number = next(i for i, line in enumerate(rows(history, LEDGER)) if line["kind"] == "INTENT" and i > 40)
    put_aside(history, *damage(history, number))
    assert judge("I-01", history)[0] is Verdict.HELD
    assert judge("I-03", history)[0] is Verdict.HELD


# -- all of them -------------------------------------------------------------------------------------------------------

CHANGES: dict[str, list[Change]] = {
    "I-05": [
        damaged_and_nobody_noticed, quarantine_rewritten, ledger_rewritten, good_line_put_aside,
        two_lines_gone_one_put_aside,
    ],
    "I-06": [
        old_leader_goes_on, new_leader_in_between, epoch_never_granted, epoch_of_two_hosts, order_of_another_instance,
    ],
    "I-07": [
        ordered_while_killed, ordered_while_paused, ordered_while_the_breaker_was_open, ordered_by_a_runaway_strategy,
        ordered_with_a_stop_file,
        ordered_with_a_corrupt_kill_switch,
    ],
    "I-08": [
        trade_that_never_came, backfill_skipped, trade_that_nobody_made, depth_gap_without_a_snapshot,
        level_of_another_size, level_too_many, book_out_of_sync,
    ],
    "I-11": [lies_out_of_order, reader_behind, second_effect, garbage_on_the_bus],
    "I-10": [another_process, same_number_later, process_gone, never_restarted, restarted_too_often],
    "I-12": [
        came_too_early, never_stops, banned, over_the_limit, does_not_wait_longer, waits_too_long, gives_up,
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"),
    [pytest.param(name, change, id=f"{name}-{change.__name__}") for name, some in CHANGES.items() for change in some],
)
def test_one_fact_changed_is_violated(history: Files, name: str, change: Change) -> None:
    named = change(history)
    verdict, why = judge(name, history)
    assert verdict is Verdict.VIOLATED
    assert named in why


SOURCES = {
    "I-06": ["venue.jsonl", "epochs.jsonl", "orders.jsonl"],
    "I-07": ["meta.json", "venue.jsonl", LEDGER, "state-files.json"],
    "I-08": ["venue.jsonl", "md-ETHUSDT.jsonl", "books.json", "depth.json"],
    "I-11": ["bus.jsonl", "consumers.json"],
    "I-10": ["meta.json", "processes.json"],
    "I-12": ["venue.jsonl"],
}


@pytest.mark.parametrize(
    ("name", "source"),
    [pytest.param(name, source, id=f"{name}-{source}") for name, some in SOURCES.items() for source in some],
)
@pytest.mark.parametrize("content", [b"", b"{}\n", None], ids=["empty", "no keys", "missing"])
def test_an_emptied_source_is_unknown(history: Files, name: str, source: str, content: bytes | None) -> None:
    del history[source]
    if content is not None:
        history[source] = content
    assert judge(name, history)[0] is Verdict.UNKNOWN


def test_checks_that_were_not_requested_are_left_out(history: Files) -> None:
    document(history, "meta.json", lambda meta: meta.update(asked=["epochs"], processes_before=None))
    assert not {"I-07", "I-08", "I-10", "I-11", "I-12"} & set(applicable(cuts.parse(history)))
    assert "I-06" in applicable(cuts.parse(history))
