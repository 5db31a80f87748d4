"""I-09 and I-10: trading was steady again within its budget, with the expected processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.recovery


def test_recovery_is_in_time(invariant: Callable[[str], None]) -> None:
    invariant("I-09")


def test_nobody_was_restarted_but_as_claimed(invariant: Callable[[str], None]) -> None:
    invariant("I-10")
