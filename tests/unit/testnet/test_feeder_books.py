"""The feeder's copy of a book equals the venue's, and detects gaps."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from stormdesk.testnet.feeder.books import LocalBook, Step
from stormdesk.testnet.feeder.messages import DepthEvent
from stormdesk.testnet.venue.accounts import Accounts
from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.house import House
from stormdesk.testnet.venue.market import Symbol
from stormdesk.testnet.venue.record import HOUSE

BTC = Symbol.parse("BTCUSDT")


def event(first: int, last: int, bids: dict[str, str] | None = None) -> DepthEvent:
    levels = [(Decimal(price), Decimal(qty)) for price, qty in (bids or {}).items()]
    return DepthEvent("BTCUSDT", first, last, levels, [])


def synced(at: int, bids: dict[str, str] | None = None) -> LocalBook:
    local = LocalBook()
    assert local.load(at, event(0, 0, bids).bids, []) == []
    return local


def test_it_equals_the_venues_book_level_by_level() -> None:
    funds = {HOUSE: {"BTC": "1000", "USDT": "100000000"}}
    venue, house = Exchange({"BTCUSDT": BTC}, Accounts(funds)), House(BTC, Random(4))
    book, local = venue.books["BTCUSDT"], LocalBook()

    def follow(now: int) -> Step:
        house.step(venue, float(now))
        diff = book.diff()
        assert diff is not None
        return local.apply(DepthEvent("BTCUSDT", diff.first, diff.last, diff.bids, diff.asks))

    assert [follow(0), follow(1)] == [Step.WAITING] * 2
    snapshot = (book.update_id, book.levels("BUY", 1000), book.levels("SELL", 1000))
    assert follow(2) is Step.WAITING  # it came while the snapshot was on its way
    news = local.load(*snapshot)
    assert news is not None
    assert len(news) == 1  # the first two are in the snapshot
    for now in range(3, 200):
        assert follow(now) is Step.APPLIED
        assert local.bids == dict(book.levels("BUY", 1000))
        assert local.asks == dict(book.levels("SELL", 1000))
        assert local.last == book.update_id


def test_a_snapshot_older_than_the_first_event_is_fetched_again() -> None:
    local = LocalBook()
    assert local.apply(event(20, 22)) is Step.WAITING
    assert local.load(18, [], []) is None
    assert local.last is None
    assert local.load(19, [], []) == [event(20, 22)]
    assert local.last == 22


def test_an_event_that_does_not_follow_starts_the_book_again() -> None:
    local = synced(10, {"5": "1"})
    assert local.apply(event(12, 14, {"4": "1"})) is Step.GAP
    assert local.last is None
    assert local.before == 10
    assert local.apply(event(15, 15)) is Step.WAITING
    assert local.load(13, [], []) == [event(12, 14, {"4": "1"}), event(15, 15)]
    assert local.bids == {Decimal(4): Decimal(1)}
    assert local.last == 15


def test_what_waits_may_have_a_gap_itself() -> None:
    local = LocalBook()
    local.apply(event(5, 6))
    local.apply(event(8, 9))
    assert local.load(5, [], []) is None
    assert local.last is None
    assert local.load(9, [], []) == []
    assert local.last == 9


def test_events_are_old_up_to_the_update_id_and_may_begin_before_it() -> None:
    local = synced(10, {"5": "1"})
    assert local.apply(event(8, 10)) is Step.OLD
    assert local.apply(event(9, 12, {"5": "0", "4": "2"})) is Step.APPLIED
    assert local.bids == {Decimal(4): Decimal(2)}
    assert local.apply(event(13, 13)) is Step.APPLIED
    assert local.last == 13
