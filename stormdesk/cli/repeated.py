"""A pytest plugin: only the tests that repeat themselves (those with the `repeats` fixture). For `invoke dev.soak`."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out, and say how many."""
    repeated = [item for item in items if "repeats" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in repeated])
    items[:] = repeated
