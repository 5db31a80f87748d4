"""I-17: what is open at the venue after a kill is violated, whatever the traders said; what kept cancels away is not theirs."""

from __future__ import annotations

from typing import Any

import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import applicable
from tests.unit.histories import (
    Change,
    Files,
    document,
    grown,
    judge,
    killed,
    of_kind,
    rows,
    write_journal,
    write_orders,
)

Line = dict[str, Any]
NAME = "x-mix-3-AAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def history() -> Files:
    return grown()


def pulled(files: Files) -> float:
    """When the kill switch was pulled; it is reset 20 s later."""
    return float(rows(files, "operators.jsonl")[0]["t"])


def more(files: Files, *lines: Line) -> None:
    """Append to the journal."""
    write_journal(files, [*rows(files, "venue.jsonl"), *lines])


def order(files: Files, t: float, **changes: object) -> Line:
    """Another order of the desk, accepted at `t`."""
    return {**of_kind(rows(files, "venue.jsonl"), "ACCEPTED", type="LIMIT")[0], "client_order_id": NAME, "order_id": 7, "t": t, **changes}


def gone(t: float, kind: str = "CANCELED") -> Line:
    return {"kind": kind, "order_id": 7, "client_order_id": NAME, "account": "desk", "t": t}


def never_canceled(files: Files) -> str:
    since = pulled(files)
    more(files, order(files, since - 1))
    return f"{NAME} (BTCUSDT): still open 12.0 s after the kill by alice"


def canceled_too_late(files: Files) -> str:
    since = pulled(files)
    more(files, order(files, since - 1), gone(since + 12.5))
    return "still open 12.0 s after the kill by alice"


def of_another_symbol(files: Files) -> str:
    more(files, order(files, pulled(files) - 1, symbol="ETHUSDT"))
    return f"{NAME} (ETHUSDT): still open"


def of_another_account_of_the_desk(files: Files) -> str:
    more(files, order(files, pulled(files) - 1, account="desk-2"))
    return "still open 12.0 s after"


def accepted_meanwhile(files: Files) -> str:
    since = pulled(files)
    more(files, order(files, since + 15), gone(since + 15.2))
    return "accepted 15.0 s after the kill by alice"


def traded_too_late(files: Files) -> str:
    since, one = pulled(files), order(files, pulled(files) - 1)
    side = {**of_kind(rows(files, "venue.jsonl"), "TRADE", account="desk")[0], "order_id": 7, "client_order_id": NAME, "t": since + 13}
    more(files, one, {**side, "qty": one["qty"]})
    return "still open 12.0 s after"


def aborted(files: Files) -> str:
    since = pulled(files)
    told = {"id": "a", "task": "stack.abort", "options": {"reason": "x"}}
    write_orders(files, [told | {"phase": "ordered", "t": since}, told | {"phase": "done", "t": since + 1, "exit_code": 0}])
    document(files, "meta.json", lambda meta: meta["hold"].update(ended=since + 20))
    more(files, order(files, since - 1))
    return "still open 12.0 s after the kill by alice"


def the_command_died(files: Files) -> str:
    """It was given, and nobody knows how it ended."""
    since = pulled(files)
    (_, _, *off) = killed(since, since + 20)
    write_orders(files, [killed(since, since + 20)[0], *off])
    more(files, order(files, since - 1))
    return "still open 12.0 s after"


def with_longer_timers(files: Files) -> str:
    document(files, "meta.json", lambda meta: meta.update(verify_s=4.0))
    more(files, order(files, pulled(files) - 1))
    return "still open 6.0 s after"


CHANGES: list[Change] = [
    never_canceled, canceled_too_late, of_another_symbol, of_another_account_of_the_desk, accepted_meanwhile, traded_too_late, aborted,
    the_command_died, with_longer_timers,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_one_fact_changed_is_violated(history: Files, change: Change) -> None:
    named = change(history)
    verdict, why = judge("I-17", history)
    assert verdict is Verdict.VIOLATED
    assert named in why


def test_what_was_canceled_in_time_is_no_offence(history: Files) -> None:
    since = pulled(history)
    more(history, order(history, since - 1), gone(since + 9))
    assert judge("I-17", history)[0] is Verdict.HELD


def test_after_the_reset_orders_may_be_open_again(history: Files) -> None:
    more(history, order(history, pulled(history) + 20.5))
    assert judge("I-17", history)[0] is Verdict.HELD


@pytest.mark.parametrize("account", ["house", "guest"])
def test_others_orders_are_not_the_desks(history: Files, account: str) -> None:
    more(history, order(history, pulled(history) - 1, account=account))
    assert judge("I-17", history)[0] is Verdict.HELD


def fault(t: float, *, on: bool) -> Line:
    return {"kind": "FAULT", "name": "error-5xx", "on": on, "t": t}


def test_the_time_begins_anew_when_the_venue_is_well_again(history: Files) -> None:
    since = pulled(history)
    more(history, order(history, since - 1), fault(since - 1, on=True), fault(since + 5, on=False), gone(since + 16.5))
    assert judge("I-17", history)[0] is Verdict.HELD
    more(history, order(history, since + 16.6, client_order_id=NAME, order_id=8))
    assert judge("I-17", history)[1].startswith(f"{NAME} (BTCUSDT): still open 17.0 s after the kill")


@pytest.mark.parametrize("over", [[fault(1.0, on=True)], []], ids=["a fault of the venue", "a fault of a host"])
def test_a_kill_that_nobody_could_carry_out_is_not_judged(history: Files, over: list[Line]) -> None:
    since = pulled(history)
    more(history, *[line | {"t": since - 1} for line in over], order(history, since - 0.5))
    if not over:
        document(history, "meta.json", lambda meta: meta["fault"].update(injected_t=since - 5, lift_t=since + 15))
    assert "I-17" not in applicable(cuts.parse(history))


def test_a_kill_that_was_reset_at_once_is_not_judged(history: Files) -> None:
    since = pulled(history)
    write_orders(history, killed(since, since + 11))
    assert "I-17" not in applicable(cuts.parse(history))
    assert judge("I-17", history)[1] == "0 kills that lasted long enough seen, at least 1 needed"


def test_an_order_that_was_refused_is_no_kill(history: Files) -> None:
    since = pulled(history)
    on = {"id": "k1", "task": "stack.kill-switch", "options": {"on": True}}
    write_orders(history, [on | {"phase": "ordered", "t": since}, on | {"phase": "refused", "t": since, "why": "--by NAME"}])
    document(history, "meta.json", lambda meta: meta["hold"].update(ended=since + 60))
    assert "I-17" not in applicable(cuts.parse(history))


def changed(files: Files) -> str:
    files["operators.jsonl"] = files["operators.jsonl"].replace(b'"alice"', b'"mallo"', 1)
    return "operators.jsonl line 1 was changed: its hash is another"


def taken_out(files: Files) -> str:
    files["operators.jsonl"] = b"".join(files["operators.jsonl"].splitlines(keepends=True)[1:])
    return "operators.jsonl line 1 does not follow the line before"


def torn(files: Files) -> str:
    files["operators.jsonl"] = files["operators.jsonl"][:-20]
    return "operators.jsonl line 4 does not follow the line before"


def missing(files: Files) -> str:
    del files["operators.jsonl"]
    return "operators.jsonl is missing"


@pytest.mark.parametrize("damage", [changed, taken_out, torn, missing], ids=lambda damage: damage.__name__)
def test_a_log_that_is_not_as_it_was_written_is_unknown_by_name(history: Files, damage: Change) -> None:
    why = damage(history)
    assert judge("I-17", history) == (Verdict.UNKNOWN, why)
    assert "I-17" in applicable(cuts.parse(history))


def test_where_nobody_keeps_such_a_log_it_is_left_out(history: Files) -> None:
    document(history, "meta.json", lambda meta: meta["asked"].remove("operators"))
    assert "I-17" not in applicable(cuts.parse(history))
