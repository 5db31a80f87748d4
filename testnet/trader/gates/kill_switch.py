"""The kill switch: no new orders, at once in memory, and in a file that survives a restart. An unreadable file means on."""

from __future__ import annotations

import time

import msgspec

from stormdesk.durable import CorruptError
from stormdesk.testnet.people import person
from stormdesk.testnet.trader.gates.board import Board
from stormdesk.testnet.trader.gates.files import StateFile

GATE = "kill_switch"


class KillSwitchState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`execution/kill_switch_state.json`. `since` is seconds since 1970."""

    active: bool
    reason: str = ""
    by: str = ""
    since: float = 0.0


class KillSwitch:
    """On or off. It works without the venue, Redis, PostgreSQL and free disk space."""

    def __init__(self, file: StateFile, board: Board) -> None:
        self.persisted = True
        self._file = file
        self._board = board
        try:
            self.state = file.read(KillSwitchState) or KillSwitchState(active=False)
        except CorruptError as error:
            self.state = KillSwitchState(True, f"the state file cannot be read: {error}", "trader", time.time())
        if self.state.active:
            board.close(GATE, self.state.reason)

    async def prepare(self) -> None:
        """Create a file that can be overwritten when the disk is full, and replace an unreadable one by "on"."""
        await self._write()

    async def activate(self, reason: str, by: str) -> None:
        """Switch on, at once. Later calls keep the first reason and time."""
        if not self.state.active:
            self.state = KillSwitchState(True, reason, by, time.time())
            self._board.close(GATE, reason)
        await self._write()

    async def reset(self, by: str) -> None:
        """Switch off, by a named person. Raises NotAPersonError, and OSError when the file cannot be written; then it stays on."""
        name = person(by)
        off = KillSwitchState(active=False, reason=f"reset by {name}", by=name, since=time.time())
        if not await self._file.insist(off):
            raise OSError(f"{self._file.path} was not written: the kill switch stays on")
        self.state = off
        self._board.open(GATE, off.reason)

    async def keep(self) -> None:
        """Write the file again if it could not be written, or was removed with its folder."""
        if not self.persisted or await self._file.is_missing():
            await self._write()

    async def _write(self) -> None:
        self.persisted = await self._file.insist(self.state)
