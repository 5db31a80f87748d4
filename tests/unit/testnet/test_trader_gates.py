"""The trader's gates without a network: what closes and opens them, and their files after a restart."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormdesk.testnet.people import NotAPersonError, person
from stormdesk.testnet.resilience import load
from stormdesk.testnet.trader.gates import breaker, risk
from stormdesk.testnet.trader.gates.board import Board
from stormdesk.testnet.trader.gates.breaker import Breaker, Circuit
from stormdesk.testnet.trader.gates.breakers import Breakers
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.gates.guard_files import GuardFiles
from stormdesk.testnet.trader.gates.kill_switch import KillSwitch
from stormdesk.testnet.trader.gates.pause import Pause
from stormdesk.testnet.trader.gates.repeats import Repeats
from stormdesk.testnet.trader.gates.signatures import Signatures
from stormdesk.testnet.trader.strategy import Instrument, Intent, Quote

NUMBERS = load()
BTC = Instrument("BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))
QUOTE = Quote(Decimal(59990), Decimal(60010))
SLOW = Decimal(60000)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


class Lines(list[tuple[str, bool]]):
    """The GATE lines that a board wrote."""

    def __call__(self, kind: str, cid: str, *, gate: str, on: bool, reason: str) -> None:
        assert (kind, cid, bool(reason)) == ("GATE", "", True)
        self.append((gate, on))


def order(side: str = "BUY", qty: str = "0.1", price: str = "60000", kind: str = "LIMIT") -> Intent:
    return Intent("x-ext-1-A", "ext:1", "BTCUSDT", side, kind, Decimal(price), Decimal(qty), 1)


# -- the breaker's state machine ---------------------------------------------------------------------------------------

NUM = NUMBERS.breaker
STEPS = st.lists(st.tuples(st.sampled_from(["fail", "good", "unclear", "ask"]), st.floats(0, 200)), max_size=60)


@given(STEPS)
def test_scenario_H_10_nothing_passes_an_open_breaker_and_one_order_a_half_open_one(steps: list[Any]) -> None:
    state, now, under_way = Breaker(), 0.0, 0
    for step, passed in steps:
        now += passed
        state = breaker.at(state, now, NUM)
        if state.circuit is Circuit.OPEN:
            assert now - state.opened_at < NUM.open_s
            assert not breaker.lets_through(state)
        if step == "ask" and breaker.lets_through(state):
            under_way = under_way + 1 if state.circuit is Circuit.HALF_OPEN else 0
            state = breaker.sent(state)
            assert under_way <= 1
        elif step != "ask":
            before = state.circuit
            state = {
                "fail": lambda: breaker.failed(state, now, NUM),  # noqa: B023
                "good": lambda: breaker.succeeded(state),  # noqa: B023
                "unclear": lambda: breaker.unclear(state),  # noqa: B023
            }[step]()
            under_way = 0
            assert (before, state.circuit) != (Circuit.OPEN, Circuit.CLOSED)


def test_scenario_H_10_three_failures_in_the_window_open_it() -> None:
    state = Breaker()
    for now in (0.0, 10.0, 61.0):  # the first is too old when the third comes
        state = breaker.failed(state, now, NUM)
    assert state.circuit is Circuit.CLOSED
    state = breaker.failed(state, 69.0, NUM)
    assert (state.circuit, state.opened_at) == (Circuit.OPEN, 69.0)
    assert breaker.at(state, 188.9, NUM).circuit is Circuit.OPEN
    half = breaker.at(state, 189.0, NUM)
    assert half.circuit is Circuit.HALF_OPEN
    assert breaker.succeeded(breaker.sent(half)) == Breaker()
    assert breaker.failed(breaker.sent(half), 190.0, NUM) == Breaker(Circuit.OPEN, opened_at=190.0)
    assert breaker.lets_through(breaker.unclear(breaker.sent(half)))
    assert breaker.succeeded(replace(state)).circuit is Circuit.OPEN  # late news of an order from before


def test_scenario_H_10_the_breakers_of_a_restart_are_those_of_before(tmp_path: Path) -> None:
    path, lines = tmp_path / "circuit_breaker.json", Lines()

    async def scenario() -> None:
        first = Breakers(StateFile(path), Board(lines), ["BTCUSDT", "ETHUSDT"], NUM)
        for _ in range(3):
            await first.heard("BTCUSDT", "failed")
        again = Breakers(StateFile(path), Board(lines), ["BTCUSDT", "ETHUSDT"], NUM)
        assert [b.circuit for b in again.all.values()] == [Circuit.OPEN, Circuit.CLOSED]
        assert not again.lets_through("BTCUSDT")
        assert again.lets_through("ETHUSDT")
        assert lines == [("breaker:BTCUSDT", True)] * 2
        document = json.loads(path.read_bytes())
        document["symbols"]["BTCUSDT"]["opened_t"] -= NUM.open_s
        path.write_text(json.dumps(document))
        later = Breakers(StateFile(path), Board(lines), ["BTCUSDT", "ETHUSDT"], NUM)
        assert [later.lets_through("BTCUSDT") for _ in range(3)] == [True, False, False]
        await later.heard("BTCUSDT", "good")
        assert json.loads(path.read_bytes())["symbols"]["BTCUSDT"]["state"] == "CLOSED"
        path.write_bytes(b"{")
        assert not any(map(Breakers(StateFile(path), Board(lines), ["BTCUSDT"], NUM).lets_through, ["BTCUSDT"]))

    run(scenario)


# -- kill switch, pause, guard's files, repeats --------------------------------------------------------------------------


def test_scenario_S4_01_the_kill_switch_survives_and_only_a_person_resets_it(tmp_path: Path) -> None:
    path = tmp_path / "execution/kill_switch_state.json"

    async def scenario() -> None:
        lines = Lines()
        switch = KillSwitch(StateFile(path), Board(lines))
        await switch.prepare()
        assert not switch.state.active
        await switch.activate("runaway", "alice")
        again = KillSwitch(StateFile(path), Board(lines))
        assert (again.state.active, again.state.reason, again.state.by) == (True, "runaway", "alice")
        for nobody in ("", "  ", "guard", "Trader-A", "a\nb"):
            with pytest.raises(NotAPersonError):
                await again.reset(nobody)
        assert KillSwitch(StateFile(path), Board(lines)).state.active
        await again.reset("bob")
        assert not KillSwitch(StateFile(path), Board(lines)).state.active
        assert lines == [("kill_switch", True)] * 3 + [("kill_switch", False)]

    run(scenario)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"active": "no"}', b'{"active": false, "v": 2}', b"\xff" * 99])
def test_scenario_S4_01_a_kill_switch_file_that_cannot_be_read_means_active(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kill_switch_state.json"
    path.write_bytes(content)
    board = Board(Lines())
    assert KillSwitch(StateFile(path), board).state.active
    assert board.reasons("BTCUSDT", "mix")


def test_a_kill_switch_on_a_disk_without_room_is_written_over_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kill_switch_state.json"

    async def scenario() -> None:
        switch = KillSwitch(StateFile(path), Board(Lines()))
        await switch.prepare()
        size = path.stat().st_size
        rename = Path.rename

        def full(self: Path, target: Path) -> Path:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(Path, "rename", full)
        await switch.activate("runaway", "alice")
        monkeypatch.setattr(Path, "rename", rename)
        assert switch.persisted
        assert path.stat().st_size == size
        assert KillSwitch(StateFile(path), Board(Lines())).state.active

    run(scenario)


def test_a_pause_survives_and_an_unreadable_one_is_a_pause(tmp_path: Path) -> None:
    path = tmp_path / "pause_state.json"

    async def scenario() -> None:
        board = Board(Lines())
        assert await Pause(StateFile(path), board).pause("leader lock lost", "orchestrator")
        board = Board(Lines())
        pause = Pause(StateFile(path), board)
        assert board.closed == {"pause": "leader lock lost (orchestrator)"}
        assert await pause.resume("orchestrator")
        assert not board.closed
        path.write_bytes(b"{")
        Pause(StateFile(path), board)
        assert "pause" in board.closed

    run(scenario)


def test_scenario_H_03_the_guards_files_close_gates_while_they_are_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines = Lines()
        board = Board(lines)
        guard = GuardFiles(str(tmp_path / "guard"), board)
        await guard.look()
        (tmp_path / "guard").mkdir()
        (tmp_path / "guard/STOP.TXT").write_text("FAILSAFE: trader\nthree attempts")
        await guard.look()
        assert board.closed == {"stop": "FAILSAFE: trader three attempts"}
        (tmp_path / "guard/STOP.TXT").unlink()
        flags = tmp_path / "guard/global_flags.json"
        flags.write_text('{"SIGNAL_READ_ONLY": true, "reason": "failsafe", "t": 1.0}')
        await guard.look()
        assert board.closed == {"read_only": "failsafe"}
        flags.write_text("{")
        await guard.look()
        assert board.closed
        flags.write_text('{"SIGNAL_READ_ONLY": false}')
        await guard.look()
        assert not board.closed
        assert [line for line in lines if line[0] == "stop"] == [("stop", True), ("stop", False)]
        await GuardFiles("", board).look()

    run(scenario)


def test_scenario_E_19_a_runaway_strategy_stays_closed_until_a_person_opens_it(tmp_path: Path) -> None:
    path, numbers = tmp_path / "repeats_state.json", load({"risk": {"repeats": 5}}).risk

    async def scenario() -> None:
        board = Board(Lines())
        repeats = Repeats(StateFile(path), board, numbers)
        for _ in range(5):
            await repeats.count("mix")
        assert not repeats.closed_for("mix")
        await repeats.count("mix")
        assert repeats.closed_for("mix")
        assert not repeats.closed_for("ext")
        assert board.reasons("BTCUSDT", "mix")
        assert not board.reasons("BTCUSDT", "ext")
        again = Repeats(StateFile(path), Board(Lines()), numbers)
        assert again.closed_for("mix")
        with pytest.raises(NotAPersonError):
            await again.reset("guard")
        await again.reset("alice", "mix")
        assert not Repeats(StateFile(path), Board(Lines()), numbers).closed_for("mix")
        path.write_bytes(b"\0")
        board = Board(Lines())
        assert Repeats(StateFile(path), board, numbers).closed_for("anything")
        assert board.reasons("BTCUSDT", "anything")

    run(scenario)


def test_scenario_H_08_a_signal_is_taken_once_and_a_restart_remembers_it(tmp_path: Path) -> None:
    path = tmp_path / "order_sigs.json"

    async def scenario() -> None:
        taken = Signatures(StateFile(path), 120)
        assert [taken.take("s1") for _ in range(10)] == [True] + [False] * 9
        assert taken.take("s2")
        taken.give_back("s2")
        await taken.flush()
        again = Signatures(StateFile(path), 120)
        assert (again.take("s1"), again.take("s2")) == (False, True)
        document = json.loads(path.read_bytes())
        document["signals"]["s1"] -= 121
        path.write_text(json.dumps(document))
        assert Signatures(StateFile(path), 120).take("s1")  # PostgreSQL is the one that remembers for ever
        path.write_bytes(b"{")
        assert Signatures(StateFile(path), 120).take("s1")

    run(scenario)


def test_a_board_records_each_change_once() -> None:
    lines = Lines()
    board = Board(lines)
    board.close("pause", "a")
    board.close("pause", "a")
    board.close("pause", "b")
    board.open("pause", "c")
    board.open("pause", "c")
    assert lines == [("pause", True), ("pause", True), ("pause", False)]
    board.close("breaker:BTCUSDT", "open")
    assert board.reasons("BTCUSDT") == ["breaker:BTCUSDT: open"]
    assert board.reasons("ETHUSDT") == board.reasons() == []
    board.restate(["pause", "breaker:BTCUSDT"])
    assert lines[-2:] == [("pause", False), ("breaker:BTCUSDT", True)]


def test_only_people_with_names_count() -> None:
    assert person(" Alice Smith ") == "Alice Smith"
    with pytest.raises(NotAPersonError):
        person("orchestrator")


# -- risk ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("intent", "quote", "reason"), [
    (order(), QUOTE, ""),
    (order(price="63000"), QUOTE, ""),
    (order(price="63000.01"), QUOTE, "PRICE_COLLAR"),
    (order("SELL", price="56999.99"), QUOTE, "PRICE_COLLAR"),
    (order("SELL", price="99999"), QUOTE, ""),
    (order(price="1"), QUOTE, ""),
    (order(price="0", kind="MARKET"), QUOTE, ""),
    (order(price="0", kind="MARKET"), Quote(Decimal(59990), Decimal(63001)), "FLASH_PRICE"),
    (order("SELL", price="0", kind="MARKET"), Quote(Decimal(56000), Decimal(60010)), "FLASH_PRICE"),
    (order(), None, "NO_QUOTE"),
])  # fmt: skip
def test_scenario_E_18_prices_far_from_the_market_are_refused(intent: Intent, quote: Quote | None, reason: str) -> None:
    assert risk.market(intent, quote, SLOW, NUMBERS.risk) == reason


def test_without_a_slow_price_there_is_no_market() -> None:
    assert risk.market(order(), QUOTE, None, NUMBERS.risk) == "NO_QUOTE"


@pytest.mark.parametrize(("intent", "reason"), [
    (order(), ""),
    (order(qty="1.00001", price="1"), "MAX_ORDER_QTY"),
    (order(qty="0.16667"), "MAX_ORDER_VALUE"),
    (order(qty="0.2", price="0", kind="MARKET"), "MAX_ORDER_VALUE"),
])  # fmt: skip
def test_an_order_has_a_largest_size(intent: Intent, reason: str) -> None:
    assert risk.size(intent, BTC, QUOTE, NUMBERS.risk) == reason
    assert risk.size(intent, replace(BTC, base="DOGE"), QUOTE, NUMBERS.risk) == "MAX_ORDER_QTY"


def test_scenario_H_09_more_than_the_position_is_not_sold() -> None:
    assert risk.inventory(order("SELL", "0.1"), Decimal(0), Decimal(0)) == "SKIP_NO_POSITION"
    assert risk.inventory(order("SELL", "0.1"), Decimal(1), Decimal("0.95")) == "SKIP_NO_POSITION"
    assert risk.inventory(order("SELL", "0.1"), Decimal(1), Decimal("0.9")) == ""
    assert risk.inventory(order("BUY", "0.1"), Decimal(0), Decimal(0)) == ""


def test_scenario_S1_08_and_S1_09_unknown_balances_are_not_spent() -> None:
    plenty = {"USDT": Decimal(10_000), "BTC": Decimal(1)}

    def of(intent: Intent, free: dict[str, Decimal] | None, *, fresh: bool) -> str:
        return risk.means(intent, BTC, QUOTE, risk.Purse(free, fresh))

    assert of(order("SELL"), None, fresh=False) == "BALANCE_NEVER_FETCHED"
    assert of(order("BUY"), plenty, fresh=False) == "BALANCE_NOT_FRESH"
    assert of(order("SELL"), plenty, fresh=False) == ""  # reduces
    assert of(order("BUY"), plenty, fresh=True) == ""
    assert of(order("BUY", "0.2"), plenty, fresh=True) == "INSUFFICIENT_BALANCE"
    assert of(order("SELL", "1.1"), plenty, fresh=True) == "INSUFFICIENT_BALANCE"
    assert of(order("BUY"), {}, fresh=True) == "INSUFFICIENT_BALANCE"
