"""I-12: the venue's limits are respected, and a client that is told to wait does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_the_venues_limits_are_kept(invariant: Callable[[str], None]) -> None:
    invariant("I-12")
