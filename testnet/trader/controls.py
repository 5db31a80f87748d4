"""The gates that stop orders from outside the order path, with their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stormdesk.testnet.resilience import Resilience
from stormdesk.testnet.trader.config import Config
from stormdesk.testnet.trader.gates import guard_files, kill_switch, pause
from stormdesk.testnet.trader.gates.board import BREAKER, Board
from stormdesk.testnet.trader.gates.breakers import Breakers
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.gates.guard_files import GuardFiles
from stormdesk.testnet.trader.gates.kill_switch import KillSwitch
from stormdesk.testnet.trader.gates.pause import Pause
from stormdesk.testnet.trader.gates.repeats import Repeats
from stormdesk.testnet.trader.gates.signatures import Signatures
from stormdesk.testnet.trader.sweep import Sweep


class Controls:
    """The gates. Each reads its file on creation, so before the first order. `note` writes a ledger line."""

    def __init__(self, config: Config, numbers: Resilience, note: Callable[..., None]) -> None:
        folder = Path(config.data_dir)
        self.board = Board(note)
        self.kill_switch = KillSwitch(StateFile(folder / "execution/kill_switch_state.json"), self.board)
        self.pause = Pause(StateFile(folder / "execution/pause_state.json"), self.board)
        self.repeats = Repeats(StateFile(folder / "execution/repeats_state.json"), self.board, numbers.risk)
        self.breakers = Breakers(
            StateFile(folder / "circuit_breaker.json"), self.board, config.symbols, numbers.breaker
        )
        self.signatures = Signatures(StateFile(folder / "runtime/order_sigs.json"), numbers.dedup.ttl_s)
        self.guard_files = GuardFiles(config.guard_dir, self.board)
        self._verify_s = numbers.kill_switch.verify_s

    def gates(self) -> list[str]:
        """Every gate that has a place of its own."""
        fixed = (kill_switch.GATE, pause.GATE, guard_files.STOP, guard_files.READ_ONLY, "broker")
        return [*fixed, *(f"{BREAKER}{symbol}" for symbol in self.breakers.all)]

    async def kill(self, sweep: Sweep, reason: str, by: str) -> None:
        """Block at once, then cancel and verify; `turn` does the rest."""
        if not self.kill_switch.state.active:
            sweep.start()
        await self.kill_switch.activate(reason, by)

    async def turn(self, sweep: Sweep) -> None:
        """Once a second: check the guard's files, and finish what a full disk or a silent venue delayed."""
        await self.guard_files.look()
        self.breakers.turn()
        await self.kill_switch.keep()
        if self.kill_switch.state.active and not sweep.verified:
            await sweep.once(self._verify_s)
