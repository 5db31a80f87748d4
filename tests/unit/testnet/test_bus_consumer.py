"""The reader of the bus: repeated delivery has one effect, and order is checked per key."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
import pytest

from stormdesk.testnet.bus import consumer
from stormdesk.testnet.bus.consumer import Inbox


def message(n: int, *, id_: str = "", key: str = "BTCUSDT", run: int = 1) -> bytes:
    it = {"id": id_ or f"{key}:{run}:{n}", "key": key, "run": run, "n": n, "stream": "s", "t": 1.0, "data": {}}
    return msgspec.json.encode(it)


def take(*messages: bytes) -> tuple[list[int], dict[str, int]]:
    inbox = Inbox()
    taken = [envelope.n for it in messages if (envelope := inbox.take(it))]
    return taken, {name: count for name, count in asdict(inbox.counts).items() if count and name != "messages"}


def test_scenario_B_02_a_batch_that_is_published_again_has_one_effect() -> None:
    batch = [message(n) for n in range(1, 6)]
    assert take(*batch[:3], *batch, message(6)) == ([1, 2, 3, 4, 5, 6], {"duplicates": 3})


def test_scenario_E_22_a_producer_that_was_killed_repeats_under_new_numbers() -> None:
    before = [message(n, id_=f"t{n}") for n in (1, 2, 3)]
    after = [message(n, id_=f"t{n + 1}", run=2) for n in (1, 2, 3)]  # t2, t3 again and t4
    assert take(*before, *after) == ([1, 2, 3, 3], {"duplicates": 2})


def test_messages_of_a_replaced_producer_are_fenced() -> None:
    assert take(message(1), message(1, run=2), message(2), message(2, run=2)) == ([1, 1, 2], {"fenced": 1})


def test_keys_have_orders_of_their_own() -> None:
    assert take(message(1), message(1, key="E"), message(2, key="E"), message(2)) == ([1, 1, 2, 2], {})


def test_an_older_message_that_was_never_seen_is_out_of_order_and_has_no_effect() -> None:
    assert take(message(1), message(3), message(2)) == ([1, 3], {"missed": 1, "out_of_order": 1})


@pytest.mark.parametrize("garbage", [b"", b"{}", b"\xff", b"[" * 5000, b'{"id":1}', message(1)[:-1], b"null"])
def test_garbage_on_the_bus_is_counted_and_nothing_else_is_lost(garbage: bytes) -> None:
    assert take(message(1), garbage, message(2)) == ([1, 2], {"malformed": 1})


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "WINDOW", 100)
    inbox = Inbox()
    for n in range(1, 1000):
        inbox.take(message(n))
    assert len(inbox._keys["BTCUSDT"].ids) == 100
