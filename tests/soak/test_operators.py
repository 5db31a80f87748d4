"""What an operator does in a hold is kept, and what ours leaves is seen: a short form of `invoke dev.operators`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.soak.leftovers import STEPS
from tests.soak.run import go

pytestmark = pytest.mark.lab


def test_an_operators_changes_are_kept_and_leftovers_are_seen(lab_home: str, repeats: Callable[..., int]) -> None:
    holds, leftovers = repeats(100, 3), repeats(len(STEPS), 4)
    found = go(range(holds), range(0, len(STEPS), len(STEPS) // leftovers), 0, print)
    assert found.problems == []
    assert (found.kept, found.false_dirty, found.seen) == (holds, 0, leftovers)
