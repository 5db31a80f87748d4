"""I-04 and I-14: positions, fills, fees and balances agree exactly; the sum of the venue's balances is unchanged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_positions_are_exact(invariant: Callable[[str], None]) -> None:
    invariant("I-04")


def test_the_sum_of_all_balances_is_conserved(invariant: Callable[[str], None]) -> None:
    invariant("I-14")
