"""A closed or full stdout or stderr: no traceback, and the exit code is that of the task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.invoking import ROOT, environ


@pytest.mark.parametrize(
    ("redirected", "words", "code"),
    [
        ("| head -1", "chaos.catalog", 0),
        ("| true", "chaos.catalog --json", 0),
        (">/dev/full", "chaos.catalog --json", 0),
        (">&-", "chaos.catalog", 0),
        (">&- 2>&- <&-", "chaos.catalog", 0),
        (">/dev/full", "chaos.disk-full --json --for never", 2),
        ("2>/dev/full", "chaos.disk-full --for never", 2),
        ("2>&-", "chaos.disk-full --for never", 2),
        (">&- 2>&-", "chaos.disk-full --json --for never", 2),
        ("2>&1 | true", "chaos.disk-full --for never", 2),
    ],
)
def test_case_C30_a_stream_that_fails_changes_no_exit_code(
    redirected: str, words: str, code: int, tmp_path: Path
) -> None:
    line = f"set -o pipefail; {sys.executable} -m invoke {words} {redirected}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environ(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1
    assert ("the output is incomplete: No space left on device" in done.stderr) == (
        line.endswith(">/dev/full") and code == 0
    )
