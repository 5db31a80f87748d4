"""I-07: a trader does not order while it must not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_no_order_through_a_shut_gate(invariant: Callable[[str], None]) -> None:
    invariant("I-07")


def test_no_order_is_open_after_a_kill(invariant: Callable[[str], None]) -> None:
    invariant("I-17")


def test_what_a_person_stopped_stays_stopped(invariant: Callable[[str], None]) -> None:
    invariant("I-19")
