"""The feeder's copy of a book follows the venue's, and notices what is missing."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from stormdesk.testnet.feeder.books import LocalBook, Step
from stormdesk.testnet.venue import messages, replies
from stormdesk.testnet.venue.accounts import Accounts
from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.house import House
from stormdesk.testnet.venue.market import Symbol
from stormdesk.testnet.venue.record import HOUSE

BTC = Symbol.parse("BTCUSDT")


def market() -> tuple[Exchange, House]:
    funds = {HOUSE: {"BTC": "1000", "USDT": "100000000"}}
    return Exchange({"BTCUSDT": BTC}, Accounts(funds)), House(BTC, Random(4))


def snapshot(local: LocalBook, venue: Exchange) -> None:
    document = replies.depth(venue.books["BTCUSDT"], 1000)
    local.load(document["lastUpdateId"], document["bids"], document["asks"])


def follow(local: LocalBook, venue: Exchange) -> Step:
    diff = venue.books["BTCUSDT"].diff()
    assert diff is not None
    message = messages.depth("BTCUSDT", diff, 1.0)
    return local.apply(message["U"], message["u"], message["b"], message["a"])


def assert_same(local: LocalBook, venue: Exchange) -> None:
    book = venue.books["BTCUSDT"]
    assert local.bids == dict(book.levels("BUY", 1000))
    assert local.asks == dict(book.levels("SELL", 1000))
    assert local.last == book.update_id


def test_it_equals_the_venues_book_level_by_level() -> None:
    venue, house = market()
    house.step(venue, 0.0)
    local = LocalBook()
    assert follow(local, venue) is Step.GAP  # nothing loaded yet
    house.step(venue, 1.0)
    snapshot(local, venue)
    assert follow(local, venue) is Step.OLD  # the snapshot is newer than this diff
    for step in range(2, 200):
        house.step(venue, float(step))
        assert follow(local, venue) is Step.APPLIED
        assert_same(local, venue)


def test_a_lost_diff_is_a_gap_until_the_next_snapshot() -> None:
    venue, house = market()
    local = LocalBook()
    house.step(venue, 0.0)
    snapshot(local, venue)
    venue.books["BTCUSDT"].diff()
    house.step(venue, 1.0)
    venue.books["BTCUSDT"].diff()  # lost
    house.step(venue, 2.0)
    assert follow(local, venue) is Step.GAP
    house.step(venue, 3.0)
    assert follow(local, venue) is Step.GAP
    snapshot(local, venue)
    assert_same(local, venue)


def test_a_snapshot_in_the_middle_of_a_diff_is_accepted() -> None:
    local = LocalBook()
    local.load(10, [("5", "1")], [])
    assert local.apply(8, 12, [("5", "0"), ("4", "2")], []) is Step.APPLIED
    assert local.bids == {Decimal(4): Decimal(2)}
    assert local.apply(14, 14, [], []) is Step.GAP
