"""I-04: positions, fills, fees and balances agree exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_positions_are_exact(invariant: Callable[[str], None]) -> None:
    invariant("I-04")
