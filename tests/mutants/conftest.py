"""Common to the tests of planted bugs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stack_harness import Stack
from tests.mutants.bench import servers


@pytest.fixture(scope="session")
def shared() -> Iterator[Stack]:
    """A Redis and a PostgreSQL, for all stacks of this worker."""
    with servers() as stack:
        yield stack
