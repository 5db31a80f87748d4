"""The orchestrator's I/O: poll traders and guards once a second, store the state, and send it to the traders."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from stormdesk.testnet.orchestrator import state as decide
from stormdesk.testnet.orchestrator.pages import GuardPage, TraderPage
from stormdesk.testnet.orchestrator.state import SELF, Leader, State
from stormdesk.testnet.orchestrator.statefile import StateFile
from stormdesk.testnet.resilience import Configured
from stormdesk.testnet.resilience import Orchestrator as Numbers

log = logging.getLogger(__name__)

ASK_S = 2.0
Failures = (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError)
Page = TypeVar("Page", TraderPage, GuardPage)


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """docs/formats/service-config.md. `traders` and `guards` are URLs by host."""

    listen: str
    data_dir: str
    pidfile: str
    traders: dict[str, str]
    guards: dict[str, str]


class Desk:
    """Follows the leader, handles alerts, and applies the state to every trader."""

    def __init__(self, config: Config, numbers: Numbers, file: StateFile, session: aiohttp.ClientSession) -> None:
        self.file = file
        self.registry = registry = CollectorRegistry()
        self._config = config
        self._numbers = numbers
        self._session = session
        self._alone = asyncio.Lock()
        self._behind = False  # the file, of the state
        self._silent: set[str] = set()  # traders that did not follow the last command, so that each is logged once
        self._lost = Counter("orchestrator_lost_writes", "States that could not be stored.", registry=registry)
        rejected = Gauge("orchestrator_rejected_states", "Rejected state files.", registry=registry)
        rejected.set_function(lambda: file.rejected)
        paused = Gauge("orchestrator_paused", "1 while the desk is paused.", registry=registry)
        paused.set_function(lambda: float(bool(self.state.reasons)))
        alerts = Gauge("orchestrator_open_alerts", "Unanswered alerts.", registry=registry)
        alerts.set_function(lambda: sum(not alert.answered_by for alert in self.state.alerts.values()))

    @property
    def state(self) -> State:
        return self.file.state

    async def follow(self) -> None:
        """Poll and broadcast until cancelled."""
        while True:
            began = time.monotonic()
            await self.turn()
            await asyncio.sleep(max(0.0, self._numbers.check_s - (time.monotonic() - began)))

    async def turn(self) -> None:
        """One round: poll, update the state, send commands."""
        traders, guards = await asyncio.gather(
            self._ask(self._config.traders, "/health", TraderPage),
            self._ask(self._config.guards, "/health_v2", GuardPage),
        )
        async with self._alone:
            await self._mend()
            await self._decide(lambda state: self._seen(state, traders, guards))
        await asyncio.gather(*(self._tell(name, page) for name, page in traders.items()))

    async def change(self, to: Callable[[State], State]) -> State:
        """Apply a person's command. Raises OSError when the state could not be stored; then nothing has changed."""
        async with self._alone:
            await asyncio.to_thread(self.file.write, to(self.state))
        return self.state

    def _seen(self, state: State, traders: Mapping[str, TraderPage], guards: Mapping[str, GuardPage]) -> State:
        now = time.time()
        if self.file.defaulted:  # a pause that the traders still know takes precedence over the default
            kept = [reason for page in traders.values() for reason in page.pauses]
            state = decide.pause(state, SELF, kept[0], now) if kept else state
            self.file.defaulted = not traders
        leaders = [Leader(name, page.leader.epoch) for name, page in traders.items() if page.leader.is_leader]
        state = decide.follow(state, leaders)
        for host, page in guards.items():
            state = decide.update_alerts(state, host, {alert.id: alert.text for alert in page.alerts}, now)
        return decide.pause_if_unanswered(state, now, self._numbers.answer_s)

    async def _mend(self) -> None:
        try:
            if wrong := await asyncio.to_thread(self.file.check):
                log.error("state_bus.json: %s; it is as we wrote it again", wrong)
        except OSError as error:
            self._lost.inc()
            log.error("state_bus.json: %s", error)

    async def _decide(self, to: Callable[[State], State]) -> None:
        state = to(self.state)
        if state == self.state and not self._behind:
            return
        log.info(
            "state: %s", "; ".join(state.reasons) or f"trading, led by {state.leader.instance if state.leader else ''}"
        )
        try:
            await asyncio.to_thread(self.file.write, state)
            self._behind = False
        except OSError as error:
            self._lost.inc()
            self.file.state, self._behind = (
                state,
                True,
            )  # continues without a disk, and writes the state when there is one
            log.error("state_bus.json: %s", error)

    async def _tell(self, name: str, page: TraderPage) -> None:
        """Apply the state to a trader."""
        pause = self.state.pause
        if pause is not None and not page.pauses:
            await self._post(name, "/execution/pause", {"reason": f"{pause.by}: {pause.reason}", "by": SELF})
        elif pause is None and page.pauses:
            await self._post(name, "/execution/resume", {"by": SELF})
        if self.state.aborted and not page.kill_switch.active:
            await self._post(name, "/execution/kill-switch/activate", {"reason": "aborted", "by": SELF})

    async def _post(self, name: str, path: str, document: Mapping[str, str]) -> None:
        url = self._config.traders[name] + path
        limit = aiohttp.ClientTimeout(total=ASK_S)
        try:
            async with self._session.post(url, data=msgspec.json.encode(document), timeout=limit) as answer:
                answer.raise_for_status()
            self._silent.discard(name)
            log.info("%s: %s", name, path)
        except Failures as error:
            if name not in self._silent:
                log.error("%s: %s: %s", name, path, error or type(error).__name__)
            self._silent.add(name)

    async def _ask(self, urls: Mapping[str, str], path: str, kind: type[Page]) -> dict[str, Page]:
        """The documents that could be fetched."""

        async def one(url: str) -> Page | None:
            try:
                async with self._session.get(url + path, timeout=aiohttp.ClientTimeout(total=ASK_S)) as answer:
                    return msgspec.json.decode(await answer.read(), type=kind)
            except Failures:
                return None

        pages = await asyncio.gather(*(one(url) for url in urls.values()))
        return {name: page for name, page in zip(urls, pages, strict=True) if page is not None}
