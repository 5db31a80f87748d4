"""The guard's files on our host: STOP.TXT and the flag SIGNAL_READ_ONLY stop new orders while they exist."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from stormdesk.durable import CorruptError, read_json
from stormdesk.testnet.trader.gates.board import Board

STOP, READ_ONLY = "stop", "read_only"


class Flags(msgspec.Struct, frozen=True, rename={"read_only": "SIGNAL_READ_ONLY"}):
    """`global_flags.json`."""

    read_only: bool
    reason: str = ""


class GuardFiles:
    """Checks the files on request. Without a configured folder there is nothing to check."""

    def __init__(self, folder: str, board: Board) -> None:
        self._folder = Path(folder) if folder else None
        self._board = board

    async def look(self) -> None:
        """Close or open the two gates according to the files."""
        if self._folder is not None:
            stop, read_only = await asyncio.to_thread(_read, self._folder)
            for gate, reason in ((STOP, stop), (READ_ONLY, read_only)):
                if reason:
                    self._board.close(gate, reason)
                else:
                    self._board.open(gate, "the guard took it away")


def _read(folder: Path) -> tuple[str, str]:
    """Why each of the two gates is closed, or "". An unreadable file closes its gate."""
    try:
        words = " ".join((folder / "STOP.TXT").read_text(errors="replace").split())[:200]
        stop = words or "STOP.TXT"
    except FileNotFoundError:
        stop = ""
    except OSError as error:
        stop = f"STOP.TXT: {error}"
    try:
        flags = read_json(folder / "global_flags.json", Flags)
    except CorruptError as error:
        return stop, str(error)
    return stop, (flags.reason or "SIGNAL_READ_ONLY") if flags and flags.read_only else ""
