"""The feeder's handling of each message: gaps are found and closed, garbage is counted, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest

from stormdesk.testnet.bus.consumer import Inbox
from stormdesk.testnet.feeder.gaps import Gap
from stormdesk.testnet.feeder.market import Market
from stormdesk.testnet.feeder.messages import MalformedError
from stormdesk.testnet.feeder.metrics import Counts
from stormdesk.testnet.feeder.outbox import Outbox
from stormdesk.testnet.feeder.records import Heartbeat, Records
from stormdesk.testnet.feeder.trades import Ranges

BTC, ETH = "BTCUSDT", "ETHUSDT"


def market(limit: int = 1000, known: dict[str, Ranges] | None = None) -> Market:
    return Market(known or {BTC: Ranges(), ETH: Ranges()}, Outbox(1, limit), Counts())


def wire(kind: str, data: object, symbol: str = BTC) -> bytes:
    return msgspec.json.encode({"stream": f"{symbol.lower()}@{kind}", "data": data})


def trade(number: int, symbol: str = BTC) -> bytes:
    return wire("trade", {"e": "trade", "s": symbol, "t": number, "p": "1", "q": "1", "m": False}, symbol)


def depth(first: int, last: int) -> bytes:
    return wire("depth@100ms", {"e": "depthUpdate", "s": BTC, "U": first, "u": last, "b": [["5", "1"]], "a": []})


def snapshot(at: int) -> bytes:
    return msgspec.json.encode({"lastUpdateId": at, "bids": [["5.00", "2.0"]], "asks": []})


def rest(*ids: int) -> bytes:
    some = {"price": "1", "qty": "1", "quoteQty": "1", "time": 5, "isBuyerMaker": True, "isBestMatch": True}
    return msgspec.json.encode([{"id": number, **some} for number in ids])


def published(it: Market) -> list[str]:
    """The ids of everything in the outbox, in order; it is empty then."""
    ids = []
    while batch := it.outbox.batch():
        ids += [msgspec.json.decode(message.value)["id"] for message in batch]
        it.outbox.done()
    return ids


def states(it: Market) -> list[tuple[str, int, int, str, str, str]]:
    lines = [msgspec.json.decode(line, type=Gap) for line in it.gaps.lines]
    return [(gap.what, gap.first, gap.last, gap.why, gap.state, gap.how) for gap in lines]


def test_scenario_S3_03_missing_trades_are_found_by_their_ids_and_closed_by_the_venues_answer() -> None:
    it = market()
    for number in (5, 6, 10):
        it.receive(trade(number), 1.0)
    assert it.trades[BTC].missing.ranges == [(7, 9)]
    assert it.old_trades(BTC, 7, rest(7, 8, 9, 10, 11), 2.0) == 5
    it.receive(trade(11), 3.0)  # the stream brings what the answer had already
    assert published(it) == [f"{BTC}:trade:{n}" for n in (5, 6, 10, 7, 8, 9, 11)]
    healed = ("trades", 7, 9, "sequence", "healed", "backfill")
    assert states(it) == [("trades", 7, 9, "sequence", "open", ""), healed]
    assert not it.gaps.open


def test_trades_that_the_venue_does_not_have_are_lost_only_when_it_names_a_later_one() -> None:
    it = market()
    for number in (5, 9):
        it.receive(trade(number), 1.0)
    it.old_trades(BTC, 6, rest(), 2.0)
    assert it.trades[BTC].missing.ranges == [(6, 8)]
    it.old_trades(BTC, 6, rest(7), 2.0)
    assert it.trades[BTC].missing.ranges == [(8, 8)]
    it.old_trades(BTC, 8, rest(9), 2.0)
    assert not it.trades[BTC].missing.ranges
    assert it.gaps.lost == 2
    assert states(it)[-1] == ("trades", 6, 8, "sequence", "lost", "")


def test_a_book_waits_for_its_snapshot_and_the_bus_gets_it_in_order() -> None:
    it = market()
    it.receive(depth(5, 6), 1.0)
    assert not it.snapshot(BTC, snapshot(3), 1.0)
    it.receive(depth(7, 7), 1.0)
    assert it.snapshot(BTC, snapshot(6), 1.0)
    it.receive(depth(8, 8), 1.0)
    it.receive(depth(10, 11), 2.0)
    assert it.books[BTC].last is None
    assert it.snapshot(BTC, snapshot(9), 3.0)
    assert published(it) == [
        f"{BTC}:{what}" for what in ("snapshot:6", "depth:7-7", "depth:8-8", "snapshot:9", "depth:10-11")
    ]
    assert states(it) == [
        ("depth", 9, 0, "sequence", "open", ""),
        ("depth", 9, 9, "sequence", "healed", "snapshot"),
    ]


def test_a_new_connection_puts_all_books_out_of_sync_once() -> None:
    it = market()
    it.disconnected(0.5)  # nothing was in sync yet, so nothing is missing
    it.receive(depth(5, 6), 1.0)
    it.snapshot(BTC, snapshot(6), 1.0)
    it.disconnected(2.0)
    it.disconnected(2.5)
    assert states(it) == [("depth", 7, 0, "connection", "open", "")]


def test_scenario_B_07_what_the_full_buffer_drops_is_counted_and_asked_for_again() -> None:
    it = market(limit=10)
    it.receive(depth(5, 6), 1.0)
    it.snapshot(BTC, snapshot(6), 1.0)
    inbox, got = Inbox(), []
    inbox.take(it.outbox.batch()[0].value)
    it.outbox.done()
    it.receive(depth(7, 7), 1.0)
    for number in range(100, 120):
        it.receive(trade(number), 1.0)
    assert len(it.outbox) == 10
    assert it.outbox.overflow == 11
    assert it.trades[BTC].missing.ranges == [(100, 109)]
    assert it.books[BTC].last is None
    assert [(gap.what, gap.why) for gap in it.gaps.open] == [("depth", "overflow"), ("trades", "overflow")]
    for _ in range(2):
        while batch := it.outbox.batch():
            got += [envelope.id for message in batch if (envelope := inbox.take(message.value))]
            it.outbox.done()
        it.old_trades(BTC, 100, rest(*range(100, 110)), 2.0)
    assert sorted(got) == [f"{BTC}:trade:{n}" for n in range(100, 120)]
    assert not it.trades[BTC].missing.ranges
    assert inbox.counts.missed == 11
    assert inbox.counts.out_of_order == 0


def test_a_refused_batch_stays_as_it_is_however_much_comes_after_it() -> None:
    it = market(limit=5)
    for number in range(1, 4):
        it.receive(trade(number), 1.0)
    before = it.outbox.batch()
    for number in range(4, 12):
        it.receive(trade(number), 1.0)
    assert it.outbox.batch()[: len(before)] == before
    assert it.outbox.overflow == 3  # 4, 5 and 6


GARBAGE = [
    b"", b"{", b"\xff\xfe", b"[" * 5000, b"null", b"7", b'{"stream":"btcusdt@trade"}', b'{"data":{}}',
    wire("trade", {"s": BTC, "t": "5"}), wire("trade", {"s": ETH, "t": 5}), wire("trade", [1, 2]),
    wire("aggTrade", {"s": BTC, "t": 5}), wire("depth@100ms", {"s": BTC, "U": 5, "u": 4, "b": [], "a": []}),
    wire("depth@100ms", {"s": BTC, "U": 5, "u": 6, "b": [["1"]], "a": []}),
    wire("depth@100ms", {"s": BTC, "U": 5, "u": 6, "b": [["NaN", "1"]], "a": []}),
    wire("depth@100ms", {"s": BTC, "U": 5, "u": 6, "b": [["1", "-1"]], "a": []}),
    wire("depth@100ms", {"s": BTC, "U": 5, "u": 6, "b": [], "a": [["Infinity", "1"]]}),
    wire("bookTicker", {"s": BTC}),
]  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_from_the_venue_is_counted_and_changes_nothing(text: bytes) -> None:
    it = market()
    it.receive(depth(5, 6), 1.0)
    it.snapshot(BTC, snapshot(6), 1.0)
    published(it)
    assert not it.receive(text, 2.0)
    assert it._counts.malformed == 1
    assert it.books[BTC].last == 6
    assert not published(it)
    assert it.receive(depth(7, 7), 2.0) == BTC


@pytest.mark.parametrize("text", [b"", b"{}", b"[]x", b'{"lastUpdateId":1,"bids":[["x","1"]],"asks":[]}', b"\xff"])
def test_a_garbage_answer_is_reported(text: bytes) -> None:
    it = market()
    with pytest.raises(MalformedError):
        it.snapshot(BTC, text, 1.0)
    with pytest.raises(MalformedError):
        it.old_trades(BTC, 1, text, 1.0)


def test_a_venue_that_repeats_itself_counts_as_silent() -> None:
    it = market()
    ticker = wire("bookTicker", {"s": BTC, "u": 7, "b": "1", "a": "2"})
    for text in (trade(5), depth(5, 6), ticker):
        assert [it.receive(text, 1.0), it.receive(text, 1.1)] == [BTC, ""]
    assert published(it) == [f"{BTC}:trade:5", f"{BTC}:ticker:7"]
    it.disconnected(2.0)
    assert it.receive(ticker, 2.0) == BTC


def test_scenario_E_17_the_venues_shutdown_message_is_not_garbage() -> None:
    it = market()
    assert not it.receive(b'{"e":"serverShutdown","E":1}', 1.0)
    assert it.farewell
    assert it._counts.malformed == 0
    it.disconnected(2.0)
    assert not it.farewell


def test_a_message_with_line_breaks_is_one_line_on_the_bus() -> None:
    it = market()
    it.receive(b'{"stream":"btcusdt@trade",\n"data":{"s":"BTCUSDT",\r\n"t":5}}', 1.0)
    (message,) = it.outbox.batch()
    assert b"\n" not in message.value
    assert msgspec.json.decode(message.value)["data"] == {"s": BTC, "t": 5}


def test_any_loss_is_repaired_whatever_comes_when() -> None:
    """Drop, repeat and delay at random; ask the venue now and then; in the end every trade is there once."""
    for seed in range(30):
        random = Random(seed)
        it = market(limit=random.choice([5, 50, 500]))
        inbox, got = Inbox(), []
        for number in range(1, 300):
            if random.random() < 0.7 or number in (1, 299):
                it.receive(trade(number), 1.0)
            if random.random() < 0.1:
                it.receive(trade(max(1, number - 3)), 1.0)
            if random.random() < 0.2 or number == 299:
                for first, _ in list(it.trades[BTC].missing.ranges):
                    it.old_trades(BTC, first, rest(*range(first, min(first + 20, number + 1))), 2.0)
            if random.random() < 0.3:
                got += [e.id for m in it.outbox.batch() if (e := inbox.take(m.value))]
                it.outbox.done()
        while it.outbox.batch() or it.trades[BTC].missing:
            got += [e.id for m in it.outbox.batch() if (e := inbox.take(m.value))]
            it.outbox.done()
            for first, _ in it.trades[BTC].missing.ranges[:1]:
                it.old_trades(BTC, first, rest(*range(first, min(first + 4, 300))), 2.0)
        assert sorted(got) == sorted(f"{BTC}:trade:{n}" for n in range(1, 300)), seed
        assert not it.gaps.open


def test_a_restart_asks_for_what_was_not_published(tmp_path: Path) -> None:
    records, it = Records(tmp_path, [BTC, ETH]), market()
    for number in (5, 6, 10, 11):
        it.receive(trade(number), 1.0)
    it.outbox.batch()
    records.note(it.outbox.done(), 1.0)
    it.receive(trade(12), 1.0)  # received, not published
    records.write(it.gaps, Heartbeat(1.0, 1, 77, {}, 4, 1, 1))
    with (tmp_path / f"md/{BTC}.jsonl").open("ab") as out:
        out.write(b'{"torn')
    again = Records(tmp_path, [BTC, ETH])
    assert again.former_run() == 77
    known = {symbol: again.known_trades(symbol) for symbol in (BTC, ETH)}
    assert known[BTC].ranges == [(5, 6), (10, 11)]
    then = market(known=known)
    then.left_open(5.0)
    assert states(then) == [("trades", 7, 9, "restart", "open", "")]
    then.receive(trade(13), 5.0)
    assert then.trades[BTC].missing.ranges == [(7, 9), (12, 12)]


def test_what_the_disk_refuses_waits(tmp_path: Path) -> None:
    records, it = Records(tmp_path / "there", [BTC, ETH]), market()
    (tmp_path / "there").write_text("a file where the folder should be")
    for turn in range(3):
        for number in range(turn * 100, turn * 100 + 100):
            it.receive(trade(number + 1), 1.0)
        it.outbox.batch()
        records.note(it.outbox.done(), 1.0)
        records.write(it.gaps, Heartbeat(1.0, 1, 77, {}, 4, 1, 1))
    assert records.refusals == 3
    assert "there" in records.error
    (tmp_path / "there").unlink()
    records.write(it.gaps, Heartbeat(1.0, 1, 77, {}, 4, 1, 1))
    assert not records.error
    lines = (tmp_path / f"there/md/{BTC}.jsonl").read_bytes().splitlines()
    assert len(lines) == 1
    assert Records(tmp_path / "there", [BTC]).known_trades(BTC).ranges == [(1, 300)]
