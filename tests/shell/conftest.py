"""The summary of the tests of this folder."""

from __future__ import annotations

import pytest

from tests.shell.rig import repeated


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often each repeated test ran, and how often it runs in full."""
    for line in repeated:
        terminalreporter.write_line(f"repeated: {line}")
