"""I-08 and I-11: the feeder's market data is complete, and the bus keeps its order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_market_data_is_complete(invariant: Callable[[str], None]) -> None:
    invariant("I-08")


def test_the_bus_keeps_its_order(invariant: Callable[[str], None]) -> None:
    invariant("I-11")
