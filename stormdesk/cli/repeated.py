"""A pytest plugin for `invoke dev.soak`: only the tests that repeat themselves (with the `repeats` fixture)."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the others, and report their number."""
    repeated = [item for item in items if "repeats" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in repeated])
    items[:] = repeated
