"""The trading stack under those faults of the venue that it must survive unattended: nothing is lost or done twice, and trading
goes on. The other faults are in the storm of test_storm.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from stormdesk.testnet.resilience import Overrides
from tests.conftest import SHORT_TIMERS
from tests.e2e.stack_harness import Stack, eventually, get, shortened
from tests.e2e.storm import IMPORTANT, Survived
from tests.e2e.test_stack_trades import assert_exact


@pytest.fixture(scope="module")
def shared(timers: Callable[[Overrides], Overrides]) -> Iterator[Stack]:
    with shortened(timers(SHORT_TIMERS)) as stack:
        stack.up()
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The stack, trading, without faults."""
    for active in get(shared.url("control", "faults"))["active"]:
        shared.fault_over(active["id"])
    shared.trader("resume", "POST")
    shared.trading(more=3, deadline_s=60)
    return shared


@pytest.mark.parametrize("one", IMPORTANT, ids=lambda one: f"scenario_{one.scenario}")
def test_the_stack_survives(stack: Stack, one: Survived) -> None:
    pid = stack.processes["trader-a"].pid
    fault = stack.fault(one.name, 200, **one.params)
    eventually(
        f"{one.often} hits of {one.name}", lambda: stack.hits(fault) >= one.often, 45 + stack.numbers.breaker.open_s
    )
    print(f"{one.name}: {stack.fault_over(fault)} hits")
    stack.trading(more=5, deadline_s=60)
    assert_exact(stack)
    assert stack.processes["trader-a"].poll() is None
    assert stack.processes["trader-a"].pid == pid
