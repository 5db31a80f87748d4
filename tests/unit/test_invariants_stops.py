"""I-19: an order that is accepted while the desk is stopped by a person is violated, whatever the traders' gates say."""

from __future__ import annotations

from typing import Any

import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import applicable
from tests.unit.histories import Files, document, grown, judge, of_kind, rows, write_journal, write_orders

Line = dict[str, Any]
PAUSE, RESUME, ABORT, KILL = "stack.pause", "stack.resume", "stack.abort", "stack.kill-switch"


@pytest.fixture
def history() -> Files:
    return grown()


def over(files: Files) -> float:
    """When the history is over: the stops of these tests come later."""
    return float(rows(files, "venue.jsonl")[-1]["t"])


def ordered(files: Files, *orders: tuple[str, float, float | None, int | None], **options: object) -> None:
    """Orders as (task, given, ended, exit code); `None`: its second line is missing."""
    lines: list[Line] = []
    for number, (task, given, ended, code) in enumerate(orders):
        word = {"on": True} if task == KILL and number == 0 else {"off": True} if task == KILL else {}
        one = {"id": str(number), "task": task, "options": {**word, **options}}
        lines.append(one | {"phase": "ordered", "t": given})
        if ended is not None:
            lines.append(one | {"phase": "done", "t": ended, "exit_code": code})
    write_orders(files, lines)
    last = max(float(line["t"]) for line in lines)
    document(files, "meta.json", lambda meta: meta["hold"].update(ended=last + 60))


def accepted(files: Files, t: float) -> None:
    lines = rows(files, "venue.jsonl")
    order = {**of_kind(lines, "ACCEPTED", type="LIMIT")[0], "client_order_id": "x-mix-3-AAAAAAAAAAAAAAAAAAAA", "order_id": 7, "t": t}
    write_journal(files, [*lines, order])


@pytest.mark.parametrize(
    ("orders", "what"),
    [
        ([(PAUSE, 1.0, 2.0, 0)], "pause"),
        ([(PAUSE, 1.0, 2.0, 0), (RESUME, 40.0, 41.0, 0)], "pause"),
        ([(KILL, 1.0, 2.0, 0)], "kill"),
        ([(KILL, 1.0, 2.0, 0), (KILL, 40.0, 41.0, 0)], "kill"),
        ([(ABORT, 1.0, 2.0, 0)], "pause"),
        ([(ABORT, 1.0, 2.0, 0), (RESUME, 5.0, 6.0, 0)], "kill"),  # the kill switch is still on
        ([(PAUSE, 1.0, 2.0, 0), (KILL, 5.0, 6.0, 0)], "pause"),  # a reset of kill switches lifts no pause
        ([(PAUSE, 1.0, 2.0, 0), ("stack.clear-failsafe", 5.0, 6.0, 0)], "pause"),
    ],
)
def test_an_order_in_a_stop_is_violated(history: Files, orders: list[Any], what: str) -> None:
    since = over(history)
    ordered(history, *((task, since + given, since + ended, code) for task, given, ended, code in orders))
    accepted(history, since + 12.0)
    verdict, why = judge("I-19", history)
    assert verdict is Verdict.VIOLATED
    assert f"accepted 10.0 s after the {what} by alice, which nobody had lifted" in why


@pytest.mark.parametrize("t", [-0.5, 6.5, 31.0], ids=["before it", "on its way", "after the resume"])
def test_an_order_beside_a_stop_is_no_offence(history: Files, t: float) -> None:
    since = over(history) + 1
    ordered(history, (PAUSE, since + 1, since + 2, 0), (RESUME, since + 30, since + 31, 0))
    accepted(history, since + t)
    assert judge("I-19", history)[0] is Verdict.HELD


def test_where_there_are_two_clocks_they_may_differ_a_little(history: Files) -> None:
    document(history, "meta.json", lambda meta: meta.update(one_clock=False))
    since = over(history)
    ordered(history, (PAUSE, since + 1, since + 2, 0), (RESUME, since + 30, since + 31, 0))
    accepted(history, since + 9)
    accepted(history, since + 28)
    assert judge("I-19", history)[0] is Verdict.HELD
    accepted(history, since + 11)
    assert judge("I-19", history)[0] is Verdict.VIOLATED


def test_a_pause_that_did_not_come_about_was_told_to_its_operator(history: Files) -> None:
    since = over(history)
    ordered(history, (PAUSE, since + 1, since + 2, 1))
    accepted(history, since + 12)
    assert "I-19" not in applicable(cuts.parse(history))
    ordered(history, (PAUSE, since + 1, None, None))
    assert judge("I-19", history)[1] == "0 stops that lasted long enough seen, at least 1 needed"


def test_a_stop_of_a_moment_is_not_judged(history: Files) -> None:
    since = over(history)
    ordered(history, (PAUSE, since + 1, since + 2, 0), (RESUME, since + 6.5, since + 7, 0))
    assert "I-19" not in applicable(cuts.parse(history))


def test_a_changed_log_is_unknown(history: Files) -> None:
    history["operators.jsonl"] = history["operators.jsonl"].replace(b"alice", b"mallo", 1)
    assert judge("I-19", history) == (Verdict.UNKNOWN, "operators.jsonl line 1 was changed: its hash is another")
