"""I-05: the ledger is whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.invariant


def test_the_ledger_chain_is_unbroken(invariant: Callable[[str], None]) -> None:
    invariant("I-05")
