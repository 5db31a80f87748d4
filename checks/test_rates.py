"""I-12: the venue's limits are kept, and who is told to wait waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_the_venues_limits_are_kept(invariant: Callable[[str], None]) -> None:
    invariant("I-12")
