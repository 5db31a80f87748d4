"""The orchestrator's pause: no new orders until somebody resumes. Survives a restart; an unreadable file means paused."""

from __future__ import annotations

import time

import msgspec

from stormdesk.durable import CorruptError
from stormdesk.testnet.trader.gates.board import Board
from stormdesk.testnet.trader.gates.files import StateFile

GATE = "pause"


class PauseState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`execution/pause_state.json`."""

    paused: bool
    reason: str = ""
    by: str = ""
    since: float = 0.0


class Pause:
    """On or off, for anybody who can reach us: unlike the kill switch, it cancels nothing."""

    def __init__(self, file: StateFile, board: Board) -> None:
        self._file = file
        self._board = board
        try:
            state = file.read(PauseState) or PauseState(paused=False)
        except CorruptError as error:
            state = PauseState(True, f"the state file cannot be read: {error}", "trader", time.time())
        if state.paused:
            board.close(GATE, state.reason)

    async def pause(self, reason: str, by: str) -> bool:
        """Pause at once; False when a restart would forget it."""
        self._board.close(GATE, f"{reason} ({by})")
        return await self._file.write(PauseState(True, f"{reason} ({by})", by, time.time()))

    async def resume(self, by: str) -> bool:
        """Resume; False, and still paused, when the file cannot be written."""
        if not await self._file.write(PauseState(False, f"resumed by {by}", by, time.time())):
            return False
        self._board.open(GATE, f"resumed by {by}")
        return True
