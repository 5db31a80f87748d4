"""I-20: the venue did with each order what the order allows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_no_trade_is_beyond_its_order(invariant: Callable[[str], None]) -> None:
    invariant("I-20")
