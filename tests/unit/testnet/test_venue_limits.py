"""Weights, order counts, 429 and 418 as at Binance."""

from __future__ import annotations

import pytest

from stormdesk.testnet.venue.api import depth_weight
from stormdesk.testnet.venue.errors import ThrottledError
from stormdesk.testnet.venue.limits import Limits
from stormdesk.testnet.venue.rules import Rules

RULES = Rules(weight_per_min=100, raw_per_5min=50, orders_per_10s=3, connects_per_5min=2, early_before_ban=2)


def refused(limits: Limits, now: float, weight: int = 1) -> ThrottledError:
    with pytest.raises(ThrottledError) as error:
        limits.charge("10.0.0.1", weight, now)
    return error.value


def test_too_much_weight_is_429_until_the_minute_ends() -> None:
    limits = Limits(RULES)
    limits.charge("10.0.0.1", 100, 630.0)
    error = refused(limits, 630.5)
    assert (error.status, error.code, error.retry_after_s, error.until, error.early) == (429, -1003, 30, 660.0, False)
    assert error.msg.startswith("Too much request weight used; current limit is 100 request weight per 1 MINUTE.")
    limits.charge("10.0.0.2", 100, 630.5)  # another address
    limits.charge("10.0.0.1", 1, 660.0)


def test_clients_that_do_not_wait_are_banned_for_longer_each_time() -> None:
    limits = Limits(RULES)
    until, bans = 0.0, []
    for _ in range(3):
        limits.charge("10.0.0.1", 100, until)
        assert refused(limits, until).status == 429
        assert [(e.status, e.early) for e in (refused(limits, until + 1), refused(limits, until + 2))] == [
            (429, True)
        ] * 2
        banned = refused(limits, until + 3)
        assert (banned.status, banned.code, banned.early) == (418, -1003, True)
        assert f"IP banned until {int(banned.until * 1000)}." in banned.msg
        assert refused(limits, banned.until - 1).status == 418
        bans.append(banned.retry_after_s)
        until = banned.until
    assert bans == [120, 240, 480]


def test_a_ban_never_lasts_longer_than_three_days() -> None:
    limits = Limits(Rules())
    assert [limits.ban("10.0.0.1", 0.0).retry_after_s for _ in range(30)][-1] == 259_200


def test_raw_requests_and_connections_are_counted_in_five_minutes() -> None:
    limits = Limits(RULES)
    for second in range(50):
        limits.charge("10.0.0.1", 0, float(second))
    assert refused(limits, 50.0, 0).until == 300.0
    limits = Limits(RULES)
    limits.connect("10.0.0.1", 0.0)
    limits.connect("10.0.0.1", 299.0)
    with pytest.raises(ThrottledError):
        limits.connect("10.0.0.1", 299.0)
    limits.connect("10.0.0.1", 300.0)


def test_orders_are_counted_by_account() -> None:
    limits = Limits(RULES)
    counts = [limits.order("desk", 10.0) for _ in range(3)]
    assert counts[-1] == {"X-MBX-ORDER-COUNT-10S": "3", "X-MBX-ORDER-COUNT-1D": "3"}
    with pytest.raises(ThrottledError, match="-1015 Too many new orders; current limit is 3 orders per 10 SECOND"):
        limits.order("desk", 19.0)
    limits.order("other", 19.0)
    assert limits.order("desk", 20.0)["X-MBX-ORDER-COUNT-10S"] == "1"


@pytest.mark.parametrize(("limit", "weight"), [
    ("", 250), ("1", 5), ("100", 5), ("101", 25), ("500", 25), ("501", 50), ("1000", 50), ("1001", 250), ("5000", 250),
])  # fmt: skip
def test_depth_weights(limit: str, weight: int) -> None:
    assert depth_weight({"limit": limit} if limit else {"limit": "9999"}) == weight
    assert depth_weight({}) == 5
