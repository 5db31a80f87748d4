"""A truthful history is held; with one fact changed it is violated; with an empty source it is unknown."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import JUDGES, applicable, calls_for_refused, refused_ids
from tests.unit.histories import (
    Change,
    Files,
    document,
    grown,
    judge,
    of_kind,
    recorded,
    rows,
    write,
    write_journal,
    write_ledger,
)


@pytest.fixture
def history() -> Files:
    return grown()


def test_the_truthful_history_is_held(history: Files) -> None:
    cut = cuts.parse(history)
    assert applicable(cut) == list(JUDGES)
    assert {name: JUDGES[name](cut).verdict for name in JUDGES} == dict.fromkeys(JUDGES, Verdict.HELD)
    assert cuts.settled(cut)
    assert len(refused_ids(cut)) >= 20
    assert calls_for_refused(cut) == 0


def test_a_cut_of_before_there_were_the_other_sources_is_judged_by_those_it_has() -> None:
    cut = cuts.parse(recorded())
    names = ["I-01", "I-02", "I-03", "I-04", "I-05", "I-09", "I-13", "I-14", "I-18", "I-20", "refusals"]
    assert applicable(cut) == names
    assert {JUDGES[name](cut).verdict for name in names} == {Verdict.HELD}


# -- one fact changed --------------------------------------------------------------------------------------------------


def intent_dropped(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    gone = of_kind(lines, "INTENT")[5]
    lines.remove(gone)
    write_ledger(files, lines)
    return str(gone["client_order_id"])


def larger_than_intended_E_02(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    order = of_kind(lines, "ACCEPTED")[5]
    order["qty"] += "1"
    write_journal(files, lines)
    return str(order["client_order_id"])


def intent_twice(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    again = of_kind(lines, "INTENT")[5]
    write_ledger(files, [*lines, again])
    return str(again["client_order_id"])


def intent_after_sending(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    late = of_kind(lines, "INTENT")[5]
    late["t"] += 0.0045
    write_ledger(files, lines)
    return str(late["client_order_id"])


def intent_after_ack(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    at = lines.index(of_kind(lines, "INTENT")[5])
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    write_ledger(files, lines)
    document(files, "meta.json", lambda meta: meta.update(one_clock=False))
    return str(lines[at]["client_order_id"])


def rejected_without_intent(files: Files) -> str:
    """The venue said no, but it was asked: without audit."""
    lines = rows(files, "venue.jsonl")
    request = of_kind(lines, "REQUEST")[9]
    write_journal(files, [*lines, request | {"client_order_id": "x-rogue"}])
    return "x-rogue"


def id_accepted_twice(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    order = of_kind(lines, "ACCEPTED")[3]
    write_journal(files, [*lines, order | {"order_id": 777}])
    return str(order["client_order_id"])


def order_id_twice(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    first, second = of_kind(lines, "ACCEPTED")[3:5]
    second["order_id"] = first["order_id"]
    write_journal(files, lines)
    return f"order {first['order_id']}"


def signal_in_two_intents(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    first, second = of_kind(lines, "INTENT")[3:5]
    second["signal"] = first["signal"]
    write_ledger(files, lines)
    return f"signal {first['signal']}"


def two_ids_for_one_signal(files: Files) -> str:
    """The ledger hides it: another signal is noted for the second id. The journal's ids say it alone."""
    lines = rows(files, "venue.jsonl")
    order = of_kind(lines, "ACCEPTED")[3]
    again = order["client_order_id"].replace("x-mix-3-", "x-mix-4-")
    write_journal(files, [*lines, order | {"order_id": 777, "client_order_id": again}])
    return again


def id_of_another_signal(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    line = of_kind(lines, "INTENT")[3]
    line["signal"] += "-again"
    write_ledger(files, lines)
    return str(line["client_order_id"])


def order_dropped_from_journal(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    gone = of_kind(lines, "ACCEPTED")[3]
    lines.remove(gone)
    write_journal(files, lines)
    return str(gone["client_order_id"])


def order_dropped_leaving_a_gap(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    gone = of_kind(lines, "ACCEPTED")[3]
    lines.remove(gone)
    write(files, "venue.jsonl", lines)
    return str(gone["client_order_id"])


def answer_dropped_from_ledger(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    gone = of_kind(lines, "ACK")[3]
    lines.remove(gone)
    write_ledger(files, lines)
    return str(gone["client_order_id"])


def left_unknown(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    answer = of_kind(lines, "ACK")[3]
    answer |= {"kind": "UNKNOWN", "reason": "timeout"}
    write_ledger(files, lines)
    return str(answer["client_order_id"])


def called_rejected_yet_accepted(files: Files) -> str:
    lines = rows(files, "ledger-trader-a.jsonl")
    answer = of_kind(lines, "ACK")[3]
    answer |= {"kind": "RESOLVED", "order_id": None, "state": "REJECTED"}
    write_ledger(files, lines)
    return str(answer["client_order_id"])


def row_dropped(files: Files) -> str:
    lines = rows(files, "orders.jsonl")
    gone = lines.pop(4)
    write(files, "orders.jsonl", lines)
    return str(gone["client_order_id"])


def row_left_open(files: Files) -> str:
    lines = rows(files, "orders.jsonl")
    row = next(line for line in lines if line["state"] == "FILLED")
    row["state"] = "NEW"
    write(files, "orders.jsonl", lines)
    return str(row["client_order_id"])


def never_drained(files: Files) -> str:
    document(files, "meta.json", lambda m: m.update(drain_s=None, left={"trader-a": {"unknown": 2, "in_flight": 0}}))
    return "trader-a: unknown 2"


def fill_of_another_size(files: Files) -> str:
    lines = rows(files, "fills.jsonl")
    lines[7]["qty"] = str(float(lines[7]["qty"]) + 0.001)
    write(files, "fills.jsonl", lines)
    return f"trade {lines[7]['trade_id']}"


def fill_dropped(files: Files) -> str:
    lines = rows(files, "fills.jsonl")
    gone = lines.pop(7)
    write(files, "fills.jsonl", lines)
    return f"trade {gone['trade_id']}"


def trade_dropped_from_journal(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    gone = of_kind(lines, "TRADE", account="desk")[7]
    lines.remove(gone)
    write_journal(files, lines)
    return f"trade {gone['trade_id']}"


def fee_forgotten(files: Files) -> str:
    lines = rows(files, "positions.jsonl")
    usdt = next(line for line in lines if line["asset"] == "USDT")
    usdt["position"] = usdt["position"][:-1] + str((int(usdt["position"][-1]) + 1) % 10)
    write(files, "positions.jsonl", lines)
    return "USDT"


def balance_off_by_the_last_digit(files: Files) -> str:
    document(files, "balances.json", lambda b: b["desk"]["BTC"].update(locked="0.0000000000000001"))
    return "BTC"


def opening_changed(files: Files) -> str:
    lines = rows(files, "positions.jsonl")
    lines[0]["opening"] = "11"
    write(files, "positions.jsonl", lines)
    return str(lines[0]["asset"])


def fee_that_nobody_gets(files: Files) -> str:
    """The venue takes the fee from the desk and forgets to give it to the house."""
    fee = next(line for line in rows(files, "venue.jsonl") if line["kind"] == "TRADE" and line["account"] == "desk")
    left = Decimal(json.loads(files["balances.json"])["house"][fee["fee_asset"]]["free"]) - Decimal(fee["fee"])
    document(files, "balances.json", lambda b: b["house"][fee["fee_asset"]].update(free=str(left)))
    return f"{fee['fee_asset']}: all accounts hold "


def money_made(files: Files) -> str:
    document(files, "balances.json", lambda b: b["desk"]["ETH"].update(locked="0.00000001"))
    return "off by 1E-8"


def locked_below_zero(files: Files) -> str:
    def move(balances: Any) -> None:
        eth = balances["desk"]["ETH"]
        eth["free"], eth["locked"] = str(Decimal(eth["free"]) + 1), "-1"

    document(files, "balances.json", move)
    return "desk: -1 ETH locked"


def line_altered(files: Files) -> str:
    raw = files["ledger-trader-a.jsonl"].split(b"\n")
    raw[20] = raw[20].replace(b'"t":1795', b'"t":1796')
    files["ledger-trader-a.jsonl"] = b"\n".join(raw)
    return "line 21"


def line_removed(files: Files) -> str:
    raw = files["ledger-trader-a.jsonl"].split(b"\n")
    del raw[20]
    files["ledger-trader-a.jsonl"] = b"\n".join(raw)
    return "line 21"


def line_not_json(files: Files) -> str:
    raw = files["ledger-trader-a.jsonl"].split(b"\n")
    raw[20] = b"\x00\xff" * 30
    files["ledger-trader-a.jsonl"] = b"\n".join(raw)
    return "line 21"


def torn_tail(files: Files) -> str:
    files["ledger-trader-a.jsonl"] = files["ledger-trader-a.jsonl"][:-9]
    return "torn"


def late_recovery(files: Files) -> str:
    document(files, "meta.json", lambda m: m["recovery"].update(recovered_at=m["recovery"]["from"] + 30.5))
    return "30.5 s"


def never_recovered(files: Files) -> str:
    document(files, "meta.json", lambda m: m["recovery"].update(recovered_at=None))
    return "not recovered"


def leftover_rule(files: Files) -> str:
    rule = "+ iptables -A INPUT -p tcp -j DROP"
    document(files, "residue.json", lambda r: r["trader-a"].update(diff=[rule]))
    return rule


def leftover_record(files: Files) -> str:
    document(files, "residue.json", lambda r: r["venue"].update(ours=["run r-1"]))
    return "venue: run r-1"


def called_for_refused(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    row = next(row for row in rows(files, "orders.jsonl") if row["state"] == "REJECTED")
    request = of_kind(lines, "REQUEST", method="POST")[-1] | {"client_order_id": row["client_order_id"]}
    write_journal(files, [*lines, request])
    return str(row["client_order_id"])


def sent_while_full(files: Files) -> str:
    """The hash chain is whole and each order has its INTENT: but there cannot have been room for them."""
    lines = rows(files, "ledger-trader-a.jsonl")
    middle = next(row["created_t"] for row in rows(files, "orders.jsonl") if row["state"] == "REJECTED") + 3
    for line in lines:
        line["t"] = middle
    write_ledger(files, lines)
    return "no room left"


CHANGES = {
    "I-01": [intent_dropped, intent_twice, intent_after_sending, intent_after_ack, rejected_without_intent, larger_than_intended_E_02],
    "I-02": [id_accepted_twice, order_id_twice, signal_in_two_intents, two_ids_for_one_signal, id_of_another_signal],
    "I-03": [
        order_dropped_from_journal, order_dropped_leaving_a_gap, answer_dropped_from_ledger, left_unknown,
        called_rejected_yet_accepted, row_dropped, row_left_open, never_drained,
    ],
    "I-04": [
        fill_of_another_size, fill_dropped, trade_dropped_from_journal, fee_forgotten, balance_off_by_the_last_digit,
        opening_changed,
    ],
    "I-05": [line_altered, line_removed, line_not_json, torn_tail],
    "I-09": [late_recovery, never_recovered],
    "I-13": [leftover_rule, leftover_record],
    "I-14": [fee_that_nobody_gets, money_made, locked_below_zero],
    "refusals": [called_for_refused, sent_while_full],
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


# -- a source emptied --------------------------------------------------------------------------------------------------

SOURCES = {
    "I-01": ["meta.json", "venue.jsonl", "ledger-trader-a.jsonl"],
    "I-02": ["meta.json", "venue.jsonl", "ledger-trader-a.jsonl", "orders.jsonl"],
    "I-03": ["meta.json", "venue.jsonl", "ledger-trader-a.jsonl", "orders.jsonl"],
    "I-04": ["venue.jsonl", "fills.jsonl", "positions.jsonl", "balances.json"],
    "I-05": ["meta.json", "ledger-trader-a.jsonl"],
    "I-09": ["meta.json"],
    "I-13": ["meta.json", "residue.json"],
    "I-14": ["venue.jsonl", "balances.json"],
    "refusals": ["meta.json", "venue.jsonl", "orders.jsonl"],
}
PAIRS = [pytest.param(name, source, id=f"{name}-{source}") for name, some in SOURCES.items() for source in some]


@pytest.mark.parametrize(("name", "source"), PAIRS)
@pytest.mark.parametrize("content", [b"", b"{}\n", None], ids=["empty", "no keys", "missing"])
def test_an_emptied_source_is_unknown(history: Files, name: str, source: str, content: bytes | None) -> None:
    del history[source]
    if content is not None:
        history[source] = content
    verdict, _ = judge(name, history)
    assert verdict is Verdict.UNKNOWN


def test_without_any_source_everything_is_unknown() -> None:
    assert {judge(name, {})[0] for name in JUDGES} == {Verdict.UNKNOWN}


def test_an_order_placed_by_hand_at_the_venue_is_not_a_traders(history: Files) -> None:
    lines = rows(history, "venue.jsonl")
    order = of_kind(lines, "ACCEPTED")[3] | {"client_order_id": "web_1", "order_id": 777}
    write_journal(history, [*lines, order])
    assert judge("I-01", history)[0] is Verdict.VIOLATED
    detail = {"client_order_id": "web_1", "account": "desk"}
    write_journal(history, [*lines, {"kind": "MARK", "t": 1.0, "what": "external-order", "detail": detail}, order])
    for name in ("I-01", "I-02", "I-03"):
        assert judge(name, history)[0] is Verdict.HELD


def test_a_trade_that_the_venue_rolled_back_no_longer_counts(history: Files) -> None:
    lines = rows(history, "venue.jsonl")
    at = max(i for i, line in enumerate(lines) if line["kind"] == "TRADE" and line["account"] == "desk")
    void = lines[at]
    first = min(i for i, line in enumerate(lines) if line.get("trade_id") == void["trade_id"])
    back = {"kind": "ROLLBACK", "t": void["t"], "to_seq": first, "trades": [void["trade_id"]]}
    write_journal(history, [*lines, back])
    verdict, why = judge("I-04", history)
    assert verdict is Verdict.VIOLATED
    assert f"trade {void['trade_id']}: only in PostgreSQL" in why
    fills = rows(history, "fills.jsonl")
    write(history, "fills.jsonl", [fill for fill in fills if fill["trade_id"] != void["trade_id"]])
    assert "only in" not in judge("I-04", history)[1]  # the balances are those of before it was taken back
    assert judge("I-03", history)[0] is Verdict.HELD
    orders = rows(history, "orders.jsonl")
    mended = {"client_order_id": void["client_order_id"], "state": "CANCELED"}  # so the venue calls it since
    matching = [row | mended if row["client_order_id"] == void["client_order_id"] else row for row in orders]
    write(history, "orders.jsonl", matching)
    assert judge("I-03", history)[0] is Verdict.HELD
    other = next(row for row in matching if row["state"] == "FILLED")
    write(history, "orders.jsonl", [row | {"state": "CANCELED"} if row is other else row for row in matching])
    assert judge("I-03", history)[0] is Verdict.VIOLATED, "an order that nothing was taken back from"


def test_a_journal_with_a_gap_proves_nothing(history: Files) -> None:
    lines = rows(history, "venue.jsonl")
    lines.remove(of_kind(lines, "TRADE", account="house")[0])
    write(history, "venue.jsonl", lines)
    for name in ("I-01", "I-02", "I-03", "I-04", "I-14", "refusals"):
        verdict, why = judge(name, history)
        assert verdict is Verdict.UNKNOWN
        assert "gap" in why


def test_a_host_that_was_not_asked_is_unknown(history: Files) -> None:
    document(history, "residue.json", lambda residue: residue.pop("ops"))
    assert judge("I-13", history) == (Verdict.UNKNOWN, "ops was not asked")


def test_a_ledger_that_is_missing_is_unknown_even_if_nobody_misses_its_lines(history: Files) -> None:
    del history["ledger-trader-b.jsonl"]
    for name in ("I-01", "I-02", "I-03", "I-05", "refusals"):
        assert judge(name, history) == (Verdict.UNKNOWN, "ledger-trader-b.jsonl is missing")


def test_few_refused_orders_prove_nothing(history: Files) -> None:
    lines = rows(history, "orders.jsonl")
    refused = [line for line in lines if line["state"] == "REJECTED"]
    write(history, "orders.jsonl", [line for line in lines if line not in refused[19:]])
    assert judge("refusals", history) == (Verdict.UNKNOWN, "19 refused orders seen, at least 20 needed")


def test_an_intent_in_the_tail_of_the_last_block_is_legal(history: Files) -> None:
    lines = rows(history, "ledger-trader-a.jsonl")
    meta = json.loads(history["meta.json"])
    for line in of_kind(lines, "INTENT")[30:33]:
        line["t"] = meta["fault"]["injected_t"] + 5
    write_ledger(history, lines)
    assert judge("refusals", history)[0] is Verdict.HELD


def test_without_one_clock_only_the_ledgers_own_order_counts(history: Files) -> None:
    intent_after_sending(history)
    document(history, "meta.json", lambda meta: meta.update(one_clock=False))
    assert judge("I-01", history)[0] is Verdict.HELD


def test_keys_and_kinds_of_a_later_version_are_left_alone(history: Files) -> None:
    lines = rows(history, "venue.jsonl")
    write_journal(history, [line | {"new": 1} for line in lines] + [{"t": 1.0, "kind": "LATER", "what": "429"}])
    assert judge("I-01", history)[0] is Verdict.HELD


def test_what_a_cut_calls_for(history: Files) -> None:
    document(history, "meta.json", lambda meta: meta["fault"].update(refusals=False))
    assert applicable(cuts.parse(history)) == [name for name in JUDGES if name != "refusals"]
    document(history, "meta.json", lambda meta: meta.update(fault=None, recovery=None, asked=[], processes_before=None))
    assert applicable(cuts.parse(history)) == ["I-01", "I-02", "I-03", "I-04", "I-05", "I-13", "I-14", "I-18", "I-20", "I-21"]
    document(history, "meta.json", lambda meta: meta.update(recovery={"from": 1.0, "recovered_at": 2.0, "rto_s": 3.0}))
    assert "I-09" in applicable(cuts.parse(history))


def test_a_trade_missing_in_postgres_is_not_settled(history: Files) -> None:
    fill_dropped(history)
    assert not cuts.settled(cuts.parse(history))


def test_an_end_missing_in_postgres_is_not_settled(history: Files) -> None:
    lines = rows(history, "orders.jsonl")
    next(line for line in lines if line["state"] == "CANCELED")["state"] = "NEW"
    write(history, "orders.jsonl", lines)
    assert not cuts.settled(cuts.parse(history))


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_never_raise_and_never_pass_the_ledger(history: Files, seed: int) -> None:
    rng = random.Random(seed)
    name = rng.choice(sorted(name for name, data in history.items() if data))
    data = bytearray(history[name])
    at = rng.randrange(len(data))
    data[at : at + rng.randrange(1, 40)] = rng.randbytes(rng.randrange(0, 40))
    history[name] = bytes(data)
    verdicts = {judged: judge(judged, history)[0] for judged in JUDGES}
    if name == "ledger-trader-a.jsonl":
        assert verdicts["I-05"] is Verdict.VIOLATED
