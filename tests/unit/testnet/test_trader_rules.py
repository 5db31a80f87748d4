"""The trader's pure rules: states, answers, ids, signals, and reading the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormdesk.testnet import answers
from stormdesk.testnet.answers import Answer, RefusedError, UnclearError
from stormdesk.testnet.prober.samples import parse
from stormdesk.testnet.trader import trace
from stormdesk.testnet.trader.ids import client_order_id
from stormdesk.testnet.trader.states import NEXT, TERMINAL, State, advance, from_venue
from stormdesk.testnet.trader.strategy import Instrument, Quote, Strategy
from stormdesk.testnet.venue.market import Symbol
from stormdesk.testnet.watch import Watch, name_of

QUOTES = {"BTCUSDT": Quote(Decimal(59994), Decimal(60006)), "ETHUSDT": Quote(Decimal("2999.7"), Decimal("3000.3"))}
TICK, STEP = Decimal("0.01"), Decimal("0.00001")
INSTRUMENTS = [Instrument("BTCUSDT", "BTC", "USDT", TICK, STEP), Instrument("ETHUSDT", "ETH", "USDT", TICK, STEP)]


@given(st.lists(st.sampled_from(State)))
def test_no_event_leaves_a_terminal_state_or_goes_back(news: list[State]) -> None:
    state, left = State.PENDING_NEW, set()
    for to in news:
        before, state = state, advance(state, to)
        if state is not before:
            assert before not in TERMINAL
            left.add(before)
        assert state not in left


def test_every_state_has_its_row() -> None:
    assert set(NEXT) == set(State)
    assert {state for state, to in NEXT.items() if not to} == TERMINAL
    assert from_venue("EXPIRED_IN_MATCH") is State.EXPIRED
    with pytest.raises(ValueError, match="NONSENSE"):
        from_venue("NONSENSE")


@pytest.mark.parametrize(("status", "body", "kind"), [
    (400, b'{"code":-2010,"msg":"Account has insufficient balance for requested action."}', RefusedError),
    (400, b'{"code":-1013,"msg":"Filter failure: LOT_SIZE"}', RefusedError),
    (400, b'{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}', RefusedError),
    (429, b'{"code":-1015,"msg":"Too many new orders"}', RefusedError),
    (400, b'{"code":-2010,"msg":"Duplicate order sent."}', UnclearError),
    (400, b'{"code":-1006,"msg":"An unexpected response was received"}', UnclearError),
    (400, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}', UnclearError),
    (503, b'{"code":-1008,"msg":"Server is currently overloaded"}', UnclearError),
    (500, b'{"code":-2010,"msg":"x"}', UnclearError),
    (502, b"<html>", UnclearError),
    (200, b'{"orderId":', UnclearError),
    (403, b"[]", UnclearError),
])  # fmt: skip
def test_only_a_clear_refusal_is_a_refusal(status: int, body: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        answers.read(Answer(status, body))


def test_success_and_retry_after() -> None:
    assert answers.read(Answer(200, b'{"orderId":7}')) == {"orderId": 7}
    with pytest.raises(RefusedError) as error:
        answers.read(Answer(429, b'{"code":-1003,"msg":"Too many requests"}', "17"))
    assert error.value.retry_after_s == 17.0


def test_ids_are_short_stable_and_different() -> None:
    ids = {client_order_id("mix", 1, f"mix:1:{n}") for n in range(1000)}
    assert len(ids) == 1000
    assert all(len(cid) <= 36 and cid.startswith("x-mix-1-") for cid in ids)
    assert client_order_id("mix", 1, "mix:1:1") == "x-mix-1-EZGNX42IEMTVGGCP4PJW"


def test_a_seed_and_an_epoch_give_one_sequence() -> None:
    def run(seed: int, epoch: int) -> list[Any]:
        strategy = Strategy(seed, epoch, INSTRUMENTS)
        return [strategy.next(QUOTES) for _ in range(200)]

    assert run(7, 1) == run(7, 1)
    assert run(7, 1) != run(8, 1)
    assert not {i.signal for i in run(7, 1)} & {i.signal for i in run(7, 2)}
    assert {i.type for i in run(7, 1)} == {"LIMIT", "MARKET"}
    assert {i.side for i in run(7, 1)} == {"BUY", "SELL"}
    for intent in run(7, 1):
        reference = QUOTES[intent.symbol].ask
        Symbol.parse(intent.symbol).check(intent.price or None, intent.qty, reference)  # the venue takes them


def test_without_quotes_there_is_no_order_and_few_orders_are_left_alone() -> None:
    strategy = Strategy(7, 1, INSTRUMENTS)
    assert strategy.next({}) is None
    assert strategy.cancel(["a", "b", "c"]) is None
    assert all(strategy.cancel([str(n) for n in range(13)]) == "0" for _ in range(20))


def test_what_a_ledger_says() -> None:
    base = {"signal": "s", "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "price": "0", "qty": "1", "epoch": 3}

    def lines(cid: str, *kinds: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"v": 1, "kind": kind, "client_order_id": cid, **more} for kind, more in (("INTENT", base), *kinds)]

    traces = trace.fold([
        *lines("cut"),
        *lines("acked", ("ACK", {"order_id": 1}), ("FILL", {"trade_id": 5})),
        *lines("done", ("ACK", {"order_id": 2}), ("DONE", {"state": "FILLED"})),
        *lines("doubted", ("UNKNOWN", {"reason": "r"})),
        *lines("absent", ("UNKNOWN", {}), ("RESOLVED", {"order_id": None}), ("REJECT", {"reason": "r"})),
        {"v": 1, "kind": "NEWS", "client_order_id": "cut"},
        {"v": 2, "kind": "DONE", "client_order_id": "cut", "state": {"word": "FILLED"}},
        {"v": 2, "kind": "INTENT", "client_order_id": "later", **base},
        {"v": 1, "kind": "INTENT", "client_order_id": "strange", "signal": 5},
        {"v": 1, "kind": "FILL", "client_order_id": "strange", "trade_id": [5]},
    ])  # fmt: skip
    left = {t.intent.client_order_id: (t.known, t.doubted) for t in traces.unfinished.values()}
    assert left == {"cut": (False, False), "acked": (True, False), "doubted": (False, True)}
    assert traces.fills == {5}
    assert traces.unfinished["cut"].intent.qty == Decimal(1)


def test_connection_failures_have_names() -> None:
    assert name_of(TimeoutError()) == "CONN_TIMEOUT"
    assert name_of(OSError(113, "No route to host")) == "CONN_TIMEOUT"
    assert name_of(ConnectionRefusedError(111, "refused")) == "CONN_REFUSED"
    watch = Watch()
    assert watch.document() == {"ok": False, "error": "not asked yet"}
    watch.good(0.002)
    assert watch.document() == {"ok": True, "latency_ms": 2.0, "p50": 2.0, "p95": 2.0}


def test_samples_of_the_text_format() -> None:
    text = '# HELP a b\na{x="1 2"} 3.0\nh_bucket{le="1"} 4\nh_count 2\nbroken\nc nan\n'
    samples = parse(text)
    assert samples.pop("c") != samples.get("c")
    assert samples == {'a{x="1 2"}': 3.0, "h_count": 2.0}
