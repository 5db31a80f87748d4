"""I-06: at any instant at most one epoch sends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_one_epoch_sends(invariant: Callable[[str], None]) -> None:
    invariant("I-06")
