"""The trading stack under the faults of the venue that it must bear without a hand on it: nothing is lost, nothing is done
twice, and trading goes on. The storm of test_storm.py has the others too."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.stack_harness import Stack, eventually, get, home_for_nobody
from tests.e2e.storm import IMPORTANT, Survived
from tests.e2e.test_stack_trades import assert_exact


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    with home_for_nobody() as home:
        stack = Stack(home)
        try:
            stack.up()
            yield stack
        finally:
            stack.down()


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The stack, trading in fine weather."""
    for active in get(shared.url("control", "faults"))["active"]:
        end(shared, active["id"])
    shared.trader("resume", "POST")
    shared.trading(more=3, deadline_s=60)
    return shared


def begin(stack: Stack, name: str, params: dict[str, str]) -> str:
    body = json.dumps({"name": name, "for_s": 60, "seed": 7, "params": params}).encode()
    with urllib.request.urlopen(stack.url("control", "faults"), data=body, timeout=5) as answer:  # noqa: S310
        return str(json.load(answer)["id"])


def end(stack: Stack, id_: str) -> int:
    """Take a fault out; how often it struck."""
    return int(get(stack.url("control", f"faults/{id_}"), "DELETE")["hits"])


def hits(stack: Stack, id_: str) -> int:
    return int(get(stack.url("control", f"faults/{id_}"))["hits"])


@pytest.mark.parametrize("one", IMPORTANT, ids=lambda one: one.scenario)
def test_the_stack_survives(stack: Stack, one: Survived) -> None:
    name, params, often = one.name, dict(one.params), one.often
    pid = stack.processes["trader-a"].pid
    id_ = begin(stack, name, params)
    try:
        eventually(f"{often} hits of {name}", lambda: hits(stack, id_) >= often, 45)
    finally:
        struck = end(stack, id_)
    stack.trading(more=5, deadline_s=60)
    assert_exact(stack)
    assert stack.processes["trader-a"].poll() is None
    assert stack.processes["trader-a"].pid == pid
    print(f"{name}: {struck} hits")
