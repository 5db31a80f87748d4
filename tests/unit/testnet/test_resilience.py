"""The numbers of resilience.yaml: the packaged ones are valid, and overrides are validated."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from stormdesk.testnet.resilience import PACKAGED, Resilience, ResilienceError, load


def test_the_packaged_numbers_are_valid_and_name_every_section() -> None:
    numbers = load()
    assert numbers.leader.ttl_s == 30
    assert numbers.breaker.failures == 3
    sections = re.findall(r"^(\w+):", PACKAGED.read_text(), re.MULTILINE)
    assert sections == [field.name for field in msgspec.structs.fields(Resilience)]


def test_an_override_replaces_one_value_and_leaves_the_others() -> None:
    numbers = load({"breaker": {"open_s": 2}, "rto_s": {"X_01": 5}})
    assert (numbers.breaker.open_s, numbers.breaker.failures) == (2, 3)
    assert (numbers.rto_s["X_01"], numbers.rto_s["H_01"]) == (5, 90)
    assert load().breaker.open_s == 120


@pytest.mark.parametrize(("overrides", "message"), [
    ({"breakers": {}}, "no section breakers"),
    ({"breaker": {"open": 2}}, "unknown field `open`"),
    ({"breaker": {"open_s": 0}}, "open_s"),
    ({"breaker": {"failures": "3"}}, "failures"),
    ({"retry": {"jitter": 1}}, "jitter"),
    ({"leader": {"renew_s": 20}}, "at most half"),
    ({"leader": {"ttl_s": 6, "renew_s": 2}}, "recv_window_ms must be below 3400"),
    ({"order": {"quiet_s": 9}}, "at least recv_window_ms"),
    ({"guard": {"backoff_s": []}}, "backoff_s"),
    ({"feeder": {"backoff_s": [1]}}, "backoff_s"),
    ({"rto_s": {"H_01": -1}}, "rto_s"),
])  # fmt: skip
def test_what_is_not_valid_is_named(overrides: Any, message: str) -> None:
    with pytest.raises(ResilienceError, match=message):
        load(overrides)
