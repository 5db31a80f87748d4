"""What must hold of the engine. Plain pytest and testinfra: `on(name)` is a host, `where` each host in turn."""

import time
from collections.abc import Callable
from typing import Any

import pytest

JOURNAL = "/var/lib/trading/engine.journal"


@pytest.mark.steady_state
def test_it_writes(on: Callable[[str], Any]) -> None:
    """The journal grows."""
    before = int(on("matching-1").check_output("wc -c < %s", JOURNAL))
    time.sleep(0.5)
    assert int(on("matching-1").check_output("wc -c < %s", JOURNAL)) > before


@pytest.mark.steady_state
def test_the_way_for_orders_is_wide(on: Callable[[str], Any], where: str) -> None:
    assert on(where).file("/sys/class/net/eth1/mtu").content_string.strip() == "1500"


@pytest.mark.invariant
def test_no_number_is_missing_or_twice(on: Callable[[str], Any]) -> None:
    """Whatever happened: order numbers without a gap, and more than none."""
    numbers = on("matching-1").check_output("cat %s", JOURNAL).split()
    assert len(numbers) >= 5
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
