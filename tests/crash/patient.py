"""The test's view of a host under one attack: its record of the run, whether the fault is active, and since when it is clean."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from stormdesk.core.shell import words
from tests.crash.aims import Attack
from tests.crash.labhost import LabHost, Picture

LOOK_S = 0.05


def boottime() -> float:
    """The clock of /proc/uptime, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Patient:
    """Looks and never touches. `run_id` is to be set once it is known; times are seconds since boot."""

    def __init__(self, host: LabHost, baseline: Picture, attack: Attack) -> None:
        self.host = host
        self.run_id = ""
        self.record = ""  # as last read; kept when it is gone
        self.deadline = 0.0
        self.seen = False
        self.present_at = (
            0.0  # when the fault was last seen in; of a killed process, its end is seen but no end of that
        )
        self.clean_at = 0.0
        self.wrong: list[str] = []  # what was last found different
        self._baseline = baseline
        self._attack = attack
        self._victims = self._processes()
        self._looked = 0.0

    def read(self) -> str:
        """The host's record of this run now, "" when there is none."""
        with contextlib.suppress(OSError):
            text = self.host.path(f"run/stormdesk/{self.run_id}/record").read_text()
            if text.strip():
                self.record = text
            return text
        return ""

    def value(self, key: str) -> str:
        """The last `key=value` in the record, or ""."""
        words = [word for word in self.record.split() if word.startswith(f"{key}=")]
        return words[-1].partition("=")[2] if words else ""

    def look(self, *, now: bool = False) -> None:
        """Is the fault in? Asked of the kernel, at most twenty times a second. From the deadline on: is the host clean?"""
        if not now and time.monotonic() < self._looked + LOOK_S:
            return
        self._looked = time.monotonic()
        at, states = boottime(), [_state(victim) for victim in self._victims]
        if self._present() or "T" in states:
            self.present_at = at
        self.seen = bool(self.seen or self.present_at or "" in states)
        self.read()
        if deadline := self.value("deadline"):
            self.deadline = int(deadline) / 100
        if self.deadline and boottime() >= self.deadline and not self.clean_at:
            self.check()

    def check(self) -> bool:
        """Is the host as it was? Kept: since when it is."""
        found = self._baseline.difference(self.host.picture())
        self.wrong = found or self.wrong
        self.clean_at = 0.0 if found else self.clean_at or boottime()
        return not found

    def _present(self) -> bool:
        if self._attack.disk:
            return self.host.free_mib(self._attack.disk) < 1
        if self._attack.look:
            return bool(re.search(self._attack.shows, self.host.sh(words(self._attack.look) + " || :"), re.MULTILINE))
        link = self._attack.link
        return bool(link) and self.host.path(f"sys/class/net/{link}/operstate").read_text().strip() == "down"

    def _processes(self) -> list[tuple[int, str]]:
        """The service's processes: pid and start time."""
        if not self._attack.service:
            return []
        pids = [pid for pid, line in self.host.services().items() if f"testnet.{self._attack.service} " in line]
        return [(pid, fields[19]) for pid in pids if (fields := stat(pid))]


def stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on; empty when the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return []


def _state(victim: tuple[int, str]) -> str:
    """The state of exactly this process; "" when it is gone."""
    fields = stat(victim[0])
    return fields[0] if fields and fields[19] == victim[1] and fields[0] not in "ZX" else ""
