"""What a killed trader intended and never sent, settled by its successor although another one leads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from stormdesk.testnet.answers import RefusedError, UnclearError
from stormdesk.testnet.ledger import Ledger
from stormdesk.testnet.trader.recovery import Leftovers

INTENT = {
    "signal": "mix:4:1", "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "price": "58000.00", "qty": "0.00100", "epoch": 4,
}  # fmt: skip
ABSENT = -2013


class Store:
    """Rows by client order id."""

    def __init__(self, *rows: str) -> None:
        self.rows = rows

    async def named(self, cids: Sequence[str]) -> dict[str, object]:
        return {cid: object() for cid in cids if cid in self.rows}


class Venue:
    """What it answers to a query, by client order id; an order that it has is {}."""

    def __init__(self, **answers: Exception | dict[str, object]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def query(self, _: str, *, origClientOrderId: str) -> dict[str, object]:  # noqa: N803  the venue's name for it
        self.asked.append(origClientOrderId)
        answer = self.answers[origClientOrderId]
        if isinstance(answer, Exception):
            raise answer
        return answer


def settled(path: Path, venue: Venue, *rows: str, looks: int = 4, quiet_s: float = 0.0) -> dict[str, list[str]]:
    """The kinds of the ledger's lines of each order after so many looks. a ended, b and c have no answer, d was doubted."""

    async def run() -> None:
        ticks = count()
        ledger = Ledger(path, lambda: 1000.0 + next(ticks), restore_s=60.0)
        for cid in "abcd":
            await ledger.append("INTENT", cid, **INTENT)
        ledger.note("REJECT", "a", reason="refused")
        ledger.note("UNKNOWN", "d", reason="timeout")
        left = Leftovers(ledger, cast("Any", Store(*rows)), cast("Any", venue), quiet_s)
        for _ in range(looks):
            try:
                await left.look()
            except UnclearError:
                continue
        await ledger.flush()
        ledger.close()

    asyncio.run(run())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kinds.setdefault(line["client_order_id"], []).append(line["kind"])
    return kinds


def test_what_neither_database_nor_venue_know_was_never_sent(tmp_path: Path) -> None:
    venue = Venue(b=RefusedError(ABSENT, "Order does not exist."), d=RefusedError(ABSENT, "Order does not exist."))
    kinds = settled(tmp_path / "ledger.jsonl", venue, "c")
    assert kinds == {
        "a": ["INTENT", "REJECT"],
        "b": ["INTENT", "REJECT"],
        "c": ["INTENT"],  # the leader knows its row, and settles it
        "d": ["INTENT", "UNKNOWN", "REJECT"],
    }
    assert venue.asked == ["b", "d"]


def test_an_order_that_the_venue_has_is_not_called_unsent(tmp_path: Path) -> None:
    venue = Venue(b={}, d=RefusedError(ABSENT, "Order does not exist."))
    kinds = settled(tmp_path / "ledger.jsonl", venue, "c")
    assert kinds["b"] == ["INTENT"]
    assert kinds["d"][-1] == "REJECT"


@pytest.mark.parametrize("error", [UnclearError("timeout"), RefusedError(-1003, "Too many requests.")])
def test_without_an_answer_it_is_asked_again(tmp_path: Path, error: Exception) -> None:
    venue = Venue(b=error)
    path = tmp_path / "ledger.jsonl"
    if isinstance(error, RefusedError):
        with pytest.raises(RefusedError):
            settled(path, venue, "c", "d")
    else:
        assert settled(path, venue, "c", "d")["b"] == ["INTENT"]
        assert venue.asked == ["b"] * 4


def test_as_long_as_something_may_be_on_its_way_nobody_is_asked(tmp_path: Path) -> None:
    venue = Venue()
    assert settled(tmp_path / "ledger.jsonl", venue, quiet_s=60.0)["b"] == ["INTENT"]
    assert venue.asked == []
