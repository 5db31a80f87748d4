"""kill -9 of the controller at any moment: the host is clean by the deadline + 5 s. The full count: `invoke dev.crashtest --kills 200`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import run

pytestmark = pytest.mark.lab


def test_a_killed_controller_leaves_every_host_clean(
    lab_home: str, repeats: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step is hit at least once, or the test has failed."""
    code = run.main(repeats(200, 12))
    said = capsys.readouterr().out
    assert code == 0, said
