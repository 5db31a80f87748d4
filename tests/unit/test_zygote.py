"""`invoke` as a fork (tests/support/zygote.py) behaves like `python -m invoke`, as far as tests depend on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import zygote


@pytest.mark.parametrize(
    "words", [("chaos.catalog",), ("chaos.catalog", "--json"), ("chaos.disk-full", "--for", "never"), ("chaos.nope",), ("--list",)]
)  # fmt: skip
def test_its_output_and_exit_are_those_of_a_process(words: tuple[str, ...], tmp_path: Path) -> None:
    env = {**os.environ, "STORMDESK_HOME": str(tmp_path), "COLUMNS": "100"}
    real = subprocess.run(
        [sys.executable, "-m", "invoke", *words], cwd=zygote.ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    fork = zygote.run(*words, env=env)
    assert (fork.returncode, fork.stdout, fork.stderr) == (real.returncode, real.stdout, real.stderr)


def test_a_signal_ends_it_and_it_has_a_session_of_its_own() -> None:
    process = zygote.start("doctor")
    until = time.monotonic() + 5
    while os.getsid(process.pid) != process.pid:  # it makes one right after its start
        assert time.monotonic() < until
    process.send_signal(signal.SIGKILL)
    assert process.communicate(10) == process.communicate(10) == ("", "")
    assert (process.returncode, process.poll()) == (-signal.SIGKILL, -signal.SIGKILL)
    process.kill()  # nobody, by now


def test_waiting_for_it_has_a_deadline() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        zygote.run("chaos.catalog", within_s=0)
