"""I-09: trading was steady again within its budget."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.recovery


def test_recovery_is_in_time(invariant: Callable[[str], None]) -> None:
    invariant("I-09")
