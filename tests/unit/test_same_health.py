"""What a guard shows is what it has written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stormdesk.desk.same_health import difference

PAGE: dict[str, Any] = {"ts": 1000.0, "age_s": 0, "dor": True, "failing_components": []}


@pytest.mark.parametrize(
    ("written", "shown", "now", "why"),
    [
        (PAGE, {**PAGE, "age_s": 4.0}, 1004.0, ""),
        (PAGE, {**PAGE, "dor": False}, 1001.0, "API and file differ in dor"),
        ({**PAGE, "ts": 995.0}, PAGE, 1001.0, "API and file differ in ts"),
        (PAGE, {**PAGE, "stage": "OBSERVE"}, 1001.0, "API and file differ in stage"),
        (PAGE, {**PAGE, "age_s": 31.0}, 1031.0, "31.0 s old, shown as 31 s; 30 s are allowed"),
        (PAGE, {**PAGE, "age_s": 0.0}, 1031.0, "31.0 s old, shown as 0 s; 30 s are allowed"),
    ],
)
def test_page_and_file(written: dict[str, Any], shown: dict[str, Any], now: float, why: str) -> None:
    assert difference(json.dumps(written), shown, now) == why


def test_a_file_that_is_no_json() -> None:
    assert difference("{", PAGE, 1001.0).endswith("is no JSON")
