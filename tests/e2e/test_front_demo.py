"""`invoke demo` cleans up after itself, however it ends. Real labs, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.infra.backends.lab import processes
from tests.support.invoking import DEADLINE_S, ROOT, Ended, environ

pytestmark = pytest.mark.lab


@pytest.fixture
def name(lab_home: str) -> Iterator[str]:
    """A name for the demo's environment; `lab_home` skips where no lab can run."""
    it = f"demo-{os.getpid()}"
    yield it
    assert it not in processes.labs()


def demo(name: str, home: Path, sent: signal.Signals, after: str) -> Ended:
    """Run the demo and send a signal after the line that has `after` in it. It is killed after DEADLINE_S."""
    command = [sys.executable, "-m", "invoke", "demo", "--name", name, "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        limit = threading.Timer(DEADLINE_S, running.kill)
        limit.start()
        said = ""
        for line in running.stderr:
            if after in line and after not in said:
                running.send_signal(sent)
            said += line
        out = running.stdout.read()
        limit.cancel()
    return Ended(running.returncode, out, said)


@pytest.mark.parametrize(
    ("sent", "after"), [(signal.SIGINT, " inject "), (signal.SIGTERM, "environment demo-"), (signal.SIGHUP, " guard ")]
)
def test_a_signal_ends_it_in_order_and_leaves_nothing(
    sent: signal.Signals, after: str, name: str, tmp_path: Path
) -> None:
    ended = demo(name, tmp_path, sent, after)
    assert ended.code == 4, ended
    assert json.loads(ended.out)["exit_code"] == 4
    assert "Traceback" not in ended.err
    assert not (tmp_path / "state" / "envs" / name).exists()
    if after == " inject ":
        assert " revert ok=true " in ended.err
