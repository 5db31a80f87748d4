"""The guard: checks, stages, and the actions that they call for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from stormdesk.testnet.guard.config import Config
from stormdesk.testnet.guard.files import Files
from stormdesk.testnet.guard.health import Document, Service, document
from stormdesk.testnet.guard.kill import KillSwitch, Pulled
from stormdesk.testnet.guard.metrics import Metrics
from stormdesk.testnet.guard.probes import Probes
from stormdesk.testnet.guard.stages import Stage, Stages, Todo
from stormdesk.testnet.guard.supervisor import Manager, SupervisorError
from stormdesk.testnet.resilience import Resilience

log = logging.getLogger(__name__)

BEAT_S = 1.0
ALERT, UNREADABLE = "failsafe", "autoheal_state_invalid"


class Guard:
    """One host's guard. `health` is the document of the last check."""

    def __init__(
        self,
        config: Config,
        numbers: Resilience,
        files: Files,
        probes: Probes,
        boss: Manager,
        kill: KillSwitch | None,
    ) -> None:
        self.config = config
        self.numbers = numbers
        self.files = files
        self.health: Document = {}
        saved, wrong = files.load()
        self.stages = Stages(numbers.guard, saved, time.monotonic())
        self.pulled: Pulled | None = None
        self.metrics = Metrics(config.component, lambda: self.stages.stage, lambda: time.monotonic() - self._checked)
        self._unreadable = wrong
        self._service = Service(config.component, numbers.health.interval_s, numbers.guard.verify_s)
        self._probes = probes
        self._boss = boss
        self._kill = kill
        self._checked = time.monotonic()
        self._alone = asyncio.Lock()  # a person and the stages must not act at once
        self._lost: set[str] = set()  # files whose last write failed, so that each failure is logged once

    # -- loops ---------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Check, decide and act until cancelled."""
        if self._unreadable:
            await self._keep("alert", self.files.alert, UNREADABLE, self._unreadable)
        while True:
            began = time.monotonic()
            await self.turn()
            await asyncio.sleep(max(0.0, self.numbers.guard.check_s - (time.monotonic() - began)))

    async def turn(self) -> None:
        """One check and its consequences."""
        found = await self._probes.look()
        sight, why = self._service.sight(found)
        async with self._alone:
            for todo in self.stages.check(time.monotonic(), sight, why):
                await self._log_moves()
                await self._do(todo)
            await self._log_moves()
        alerts = [msgspec.to_builtins(alert) for alert in self.files.alerts()]
        own = {
            "host": self.config.instance, "attempts": self.stages.attempts, "reason": self.stages.reason,
            "stopped": self.files.stopped(), "alerts": alerts, "pulled": msgspec.to_builtins(self.pulled),
        }  # fmt: skip
        self.health = document(self._service, found, ts=time.time(), stage=self.stages.stage, more=own)
        await self._keep("health_v2.json", self.files.health, self.health)
        self._checked = time.monotonic()

    async def beat(self) -> None:
        """Write the heartbeat until cancelled."""
        while True:
            await self._keep("heartbeat", self.files.beat, self.stages.stage, time.monotonic() - self._checked)
            await asyncio.sleep(BEAT_S)

    # -- what people ask for -------------------------------------------------------------------------------------

    async def clear(self, by: str) -> bool:
        """Take the host out of FAILSAFE and clear its alerts; False when there is neither."""
        async with self._alone:
            cleared, alerts = self.stages.clear(time.monotonic(), by), self.files.alerts()
            if cleared:
                self.pulled = None
                await asyncio.to_thread(self.files.release)
                await self._log_moves()
            for alert in alerts:
                await asyncio.to_thread(self.files.answered, alert.id)
        if cleared or alerts:
            await self._note(f"{'FAILSAFE' if cleared else 'alerts'} cleared by {by}")
        return cleared or bool(alerts)

    async def pull(self, reason: str, by: str) -> Pulled | None:
        """A person's kill switch: no new orders on this host, and none open at the venue; None without an API key."""
        await asyncio.to_thread(self.files.stop, f"kill switch by {by}: {reason}")
        await self._note(f"kill switch pulled by {by}: {reason}")
        self.pulled = await self._kill.pull(self.numbers.kill_switch.verify_s) if self._kill else None
        return self.pulled

    async def release(self, by: str) -> bool:
        """Allow orders again after `pull`; False in FAILSAFE, which only `clear` ends."""
        async with self._alone:
            if self.stages.stage in (Stage.FAILSAFE, Stage.NOTIFY):
                return False
            self.pulled = None
            await asyncio.to_thread(self.files.release)
        await self._note(f"kill switch reset by {by}")
        return True

    def age_s(self) -> float:
        """The age of the health document, in seconds."""
        return max(0.0, time.time() - self.health["ts"]) if self.health else float("inf")

    # -- acting --------------------------------------------------------------------------------------------------

    async def _do(self, todo: Todo) -> None:
        match todo:
            case Todo.RESTART:
                await self._restart()
            case Todo.FAILSAFE:
                await self._failsafe()
            case Todo.NOTIFY:
                await self._notify()

    async def _restart(self) -> None:
        self.metrics.restarts.inc()
        error = ""
        try:
            await self._boss.restart(self.config.service)
        except SupervisorError as refused:
            error = str(refused)
        self.stages.restarted(time.monotonic(), error)

    async def _failsafe(self) -> None:
        """Forbid new orders here, and cancel resting orders at the venue unless another instance leads.

        Repeated at each check, since an order in doubt may arrive late; only once if the leader is unknown."""
        await self._keep("STOP.TXT", self.files.stop, self.stages.reason)
        if self._kill is None:
            return
        leader = await self._probes.leader()
        if leader is None and self.pulled is not None and self.pulled.verified:
            return
        if leader in (None, "", self.config.instance):
            self.pulled = await self._kill.pull(self.numbers.kill_switch.verify_s)
            if not self.pulled.verified:
                log.error("kill switch: %s", self.pulled.error)

    async def _notify(self) -> None:
        venue = f"; orders at the venue: {self.pulled.error or 'none is open'}" if self.pulled else ""
        text = f"FAILSAFE: {self.stages.reason}{venue}. Clear it by name when the cause is gone"
        await self._note(text)
        await self._keep("alert", self.files.alert, ALERT, text)
        self.stages.told(time.monotonic())

    async def _log_moves(self) -> None:
        """Log the transitions and save the stage before acting on it."""
        moves, self.stages.moves = self.stages.moves, []
        for move in moves:
            log.info("stage: %s -> %s: %s", move.before, move.after, move.why)
        if moves:
            await self._keep("autoheal_state.json", self.files.save, self.stages.saved)

    async def _note(self, text: str) -> None:
        log.warning("%s", text)
        await self._keep("notifications.log", self.files.note, text)

    async def _keep(self, what: str, write: Callable[..., None], *values: Any) -> None:
        """Write a file; a full disk must not end the guard. The files of FAILSAFE are written again at each check."""
        try:
            await asyncio.to_thread(write, *values)
            self._lost.discard(what)
        except OSError as error:
            self.metrics.lost.inc()
            if what not in self._lost:
                log.error("%s: %s", what, error)
            self._lost.add(what)
