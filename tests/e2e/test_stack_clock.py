"""Services under libfaketime: at offset 0 they trade as without it, and clock steps are detected and followed (E-16)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence.judges import JUDGES
from tests.e2e.stack_cut import read_cut
from tests.e2e.stack_harness import Stack, eventually, home_for_nobody
from tests.e2e.test_stack_trades import assert_exact

SERVICES = ("venue", "feeder", "trader-a")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.resilience = {"degraded": {"rest_ms": 10_000}}  # of clocks, not of speed
        try:
            for name in SERVICES:
                stack.fake_clock(name)
            stack.redis()
            stack.postgres()
            stack.start("venue")
            stack.start("feeder")
            stack.start("trader-a", orders_per_s=4.0)
            stack.trading()
            yield stack
        finally:
            stack.down()


@pytest.fixture(autouse=True)
def _trading(stack: Stack) -> None:
    stack.trader("resume", "POST")


def test_services_trade_unchanged_at_offset_0(stack: Stack) -> None:
    for name in SERVICES:
        assert "libfaketime" in stack.maps(name), "not preloaded"
    stack.trading(more=30)
    eventually("ready", lambda: stack.trader("ready") == {"ready": True, "reasons": []})
    assert_exact(stack)


@pytest.mark.parametrize("step_s", [5, -5])
def test_scenario_E_16_the_clock_steps(stack: Stack, step_s: int) -> None:
    """Requests with the wrong time are refused with -1021; the next answer of the venue corrects it."""
    process = stack.processes["trader-a"].pid

    def refused() -> int:
        return len(stack.sql("select 1 from orders where reason like '%-1021%'"))

    stack.trading(more=10)
    before = refused()
    for steps in range(1, 20):
        stack.set_clock("trader-a", step_s * steps)
        stack.trading(more=2, deadline_s=60)
        if refused() > before:
            break
    assert refused() > before, "no order was under way at any of the steps"
    stack.trading(more=10)
    stack.set_clock("trader-a", 0)
    stack.trading(more=10)
    assert stack.processes["trader-a"].pid == process
    assert stack.processes["trader-a"].poll() is None
    eventually("healthy", lambda: stack.trader("health")["dor"])
    stack.quiet()
    cut = read_cut(stack, "trader-a", one_clock=False)
    for name in ("I-01", "I-02", "I-03", "I-04", "I-05", "I-14"):
        result = JUDGES[name](cut)
        assert result.verdict is Verdict.HELD, f"{result.id}: {result.why}"
