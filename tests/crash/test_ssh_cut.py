"""adapter-down on the interface that carries SSH: the host's own watchdog restores control, and the run is held."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pytest

from stormdesk.core.errors import StormdeskError
from stormdesk.infra import dialing, existing
from tests.crash.kill import INVOKE, ROOT, events
from tests.crash.patient import boottime

pytestmark = pytest.mark.lab

HOLD_S = 4.0
BACK_S = 3.0  # past the deadline
RUN_S = 120.0


class Door:
    """Knocks at a host's sshd ten times a second: when it did not answer, and when it did."""

    def __init__(self, lab: str, host: str) -> None:
        inventory = existing.load(lab)
        self._host = inventory.host(host)
        self._dial = dialing.dialer(inventory)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._knock)
        self.answers: list[tuple[float, bool]] = []

    def __enter__(self) -> Door:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _knock(self) -> None:
        while not self._ended.wait(0.1):
            self.answers.append((boottime(), self._open()))

    def _open(self) -> bool:
        try:
            with self._dial(self._host, 0.3) as connection:
                return connection.recv(4) == b"SSH-"
        except (OSError, StormdeskError):
            return False

    @property
    def shut(self) -> list[float]:
        """When it was knocked in vain."""
        return [at for at, answered in self.answers if not answered]


def test_control_over_ssh_comes_back_by_itself(
    lab: str, repeats: Callable[[int], int], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each time: out of reach, back by the deadline + 3 s, exit code 0."""
    for number, host in enumerate(islice(cycle(("trader-a", "store", "venue", "trader-b")), repeats(20))):
        runs = tmp_path / str(number)
        words = ["chaos.adapter-down", "--env", lab, "--host", host, "--network", "mgmt", "--for", f"{HOLD_S:g}s"]
        with Door(lab, host) as door:
            done = subprocess.run(
                [str(INVOKE), *words], cwd=ROOT, env={**os.environ, "STORMDESK_RUNS": str(runs)},
                capture_output=True, text=True, timeout=RUN_S, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (folder,) = runs.glob("r-*")
        ours = {event["event"]: event for event in events(folder)}
        late = max(door.shut) - ours["S2.armed"]["deadline_uptime"]
        record_property(f"{host}: out of reach {len(door.shut)} times, back from the deadline", f"{late:+.1f} s")
        assert len(door.shut) >= 3, f"{host} was always in reach: nothing was shown"
        assert late <= BACK_S, f"{host}: SSH came back {late:.1f} s after the deadline"
        assert ours["S8.verified"]["reverted_by"] == "watchdog"
        assert ours["S9.cleared"]["lateness_ms"] <= 1000 * BACK_S
