"""The trading stack under each fault of the venue: nothing is lost, nothing is done twice, and trading goes on after it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.stack_harness import Stack, eventually, get, home_for_nobody
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


# Fault, its parameters, how often it has to strike before it ends.
SURVIVED = [
    pytest.param("drop-response", {"share": "40"}, 3, id="scenario_E_08"),
    pytest.param("error-5xx", {"share": "30"}, 10, id="scenario_SN_04"),
    pytest.param("rate-limit", {"share": "10", "retry_after": "2s"}, 3, id="scenario_K_04"),
    pytest.param("duplicate-report", {"share": "60"}, 10, id="scenario_S2_03"),
    pytest.param("skip-depth", {"share": "20"}, 5, id="scenario_S3_03"),
    pytest.param("freeze", {}, 40, id="scenario_E_12"),
    pytest.param("freeze", {"rest": "500"}, 40, id="scenario_E_12-errors"),
    pytest.param("token-expiry", {"every": "2s"}, 2, id="scenario_E_10"),
    pytest.param("partial-response", {"share": "30"}, 5, id="scenario_SN_06"),
    pytest.param("delay", {"by": "700ms", "share": "50"}, 10, id="scenario_N_05"),
    pytest.param("ban", {"retry_after": "2s"}, 1, id="scenario_E_15"),
    pytest.param("partial-fill", {"share": "80"}, 5, id="scenario_S2_01"),
    pytest.param("duplicate-confirmation", {"share": "50"}, 3, id="scenario_S2_05"),
    pytest.param("stale-data", {}, 30, id="scenario_SN_05"),
    pytest.param("stale-positions", {}, 1, id="scenario_S2_09"),
    pytest.param("clock-offset", {"by": "10s"}, 30, id="scenario_E_16-ahead"),
    pytest.param("clock-offset", {"by": "-10s"}, 30, id="scenario_E_16-behind"),
    pytest.param("cancel-only", {}, 3, id="scenario_E_13"),
    pytest.param("persona", {"restored": "data-lost"}, 1, id="persona-1101"),
    pytest.param("persona", {"restored": "data-kept"}, 1, id="persona-1102"),
    pytest.param("external-order", {}, 1, id="scenario_S2_02"),
    pytest.param("rollback", {"last": "5s"}, 1, id="scenario_E_14"),
]


@pytest.mark.parametrize(("name", "params", "often"), SURVIVED)
def test_the_stack_survives(stack: Stack, name: str, params: dict[str, str], often: int) -> None:
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
