"""I-01 to I-03: every order is in the ledger, no order is sent twice, no order is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_every_venue_order_has_an_earlier_intent(invariant: Callable[[str], None]) -> None:
    invariant("I-01")


def test_no_order_is_accepted_twice(invariant: Callable[[str], None]) -> None:
    invariant("I-02")


def test_no_order_is_lost(invariant: Callable[[str], None]) -> None:
    invariant("I-03")


def test_refused_orders_never_reach_the_venue(invariant: Callable[[str], None]) -> None:
    invariant("refusals")


def test_each_order_went_as_the_ledgers_say(invariant: Callable[[str], None]) -> None:
    invariant("I-18")


def test_a_signal_from_outside_has_at_most_one_order(invariant: Callable[[str], None]) -> None:
    invariant("I-21")
