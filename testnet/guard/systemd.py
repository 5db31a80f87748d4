"""systemd, by systemctl: to look takes no rights, to restart takes sudo, whose rules name the one unit that this guard looks after."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from stormdesk.testnet.guard.supervisor import ANSWER_S, STOP_S, Process, SupervisorError

# Named as supervisord's. A unit that is inactive was stopped by hand, since it is restarted whenever it ends by itself.
STATES = {
    "active": "RUNNING",
    "reloading": "RUNNING",
    "activating": "STARTING",
    "deactivating": "STOPPING",
    "inactive": "STOPPED",
    "failed": "FATAL",
}


class Systemd:
    """The systemd of this host; use it as a context manager, as Supervisor."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def process(self, name: str) -> Process:
        """A unit's main process. Raises SupervisorError."""
        wanted = "--property=ActiveState,MainPID,ExecMainStartTimestampMonotonic"
        text = await _run(ANSWER_S, "systemctl", "show", wanted, f"{name}.service")
        return read(text, time.monotonic())

    async def restart(self, name: str) -> None:
        """Start a unit anew, also one that has used up its starts. Raises SupervisorError."""
        for verb in ("reset-failed", "restart"):
            await _run(STOP_S, "sudo", "-n", "/usr/bin/systemctl", verb, f"{name}.service")


def read(text: str, now_s: float) -> Process:
    """What `systemctl show` printed, at `now_s` of the monotonic clock."""
    shown = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    pid = int(shown.get("MainPID") or 0)
    began_s = int(shown.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
    return Process(STATES.get(shown.get("ActiveState", ""), ""), pid, now_s - began_s if pid else 0.0)


async def _run(within_s: float, *words: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = None
    try:
        async with asyncio.timeout(within_s):
            process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
            said, _ = await process.communicate()
    except (OSError, TimeoutError) as error:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        raise SupervisorError(f"systemd: {error or type(error).__name__}") from error
    text = said.decode(errors="replace")
    if process.returncode != 0:
        raise SupervisorError(f"{' '.join(words)}: {text.strip()}")
    return text
