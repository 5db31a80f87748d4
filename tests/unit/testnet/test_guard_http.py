"""The guard over HTTP: S3-01 (stale health), and people's commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from stormdesk.testnet import resilience
from stormdesk.testnet.guard.config import Config
from stormdesk.testnet.guard.files import Files
from stormdesk.testnet.guard.guard import Guard
from stormdesk.testnet.guard.http import guard_app
from stormdesk.testnet.guard.stages import Saved, Stage

NUMBERS = resilience.load()
Client = TestClient[Any, Any]


def guard_in(folder: Path, saved: Saved | None = None) -> Guard:
    """A guard whose loops do not run: what it answers is what it knows."""
    folder.mkdir(exist_ok=True)
    files = Files(folder, "feed")
    if saved is not None:
        files.save(saved)
    config = Config(
        listen="", data_dir=str(folder), pidfile="", instance="feed", service="feeder", component="Feeder", url="",
        heartbeat="", supervisor="", venue_rest="", redis="", symbols=[],
    )  # fmt: skip
    return Guard(config, NUMBERS, files, None, None, None)  # type: ignore[arg-type]


def ask(guard: Guard, scenario: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with TestClient(TestServer(guard_app(guard))) as client:
            await scenario(client)

    asyncio.run(run())


@pytest.mark.parametrize(("age_s", "status"), [(0.0, 200), (29.0, 200), (31.0, 503)])
def test_scenario_S3_01_health_tells_its_age_and_fails_when_it_is_too_old(
    tmp_path: Path, age_s: float, status: int
) -> None:
    guard = guard_in(tmp_path / "guard")
    guard.health = {"ts": time.time() - age_s, "age_s": 0.0, "dor": True}

    async def scenario(client: Client) -> None:
        answer = await client.get("/health_v2")
        told = await answer.json()
        assert answer.status == status
        assert told["age_s"] == pytest.approx(age_s, abs=1.0)
        assert told["dor"] is True

    ask(guard, scenario)


def test_before_the_first_check_there_is_no_health(tmp_path: Path) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.get("/health_v2")).status == 503
        assert await (await client.get("/stage")).json() == {"stage": "OBSERVE", "attempts": 0, "reason": ""}

    ask(guard_in(tmp_path / "guard"), scenario)


@pytest.mark.parametrize("path", ["/clear-failsafe", "/kill-switch", "/kill-switch/reset"])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"by": " "}', b'{"by": "orchestrator"}', b'{"by": "a", "x": 1}'])
def test_only_a_named_person_is_obeyed(tmp_path: Path, path: str, body: bytes) -> None:
    guard = guard_in(tmp_path / "guard", Saved(Stage.FAILSAFE, 3, "gone"))

    async def scenario(client: Client) -> None:
        answer = await client.post(path, data=body)
        assert answer.status == 400
        assert "error" in await answer.json()

    ask(guard, scenario)
    assert guard.stages.stage is Stage.FAILSAFE
    assert not guard.files.stopped()


def test_scenario_H_12_failsafe_is_cleared_by_name_and_the_stop_with_it(tmp_path: Path) -> None:
    guard = guard_in(tmp_path / "guard", Saved(Stage.FAILSAFE, 3, "gone"))
    guard.files.stop("gone")
    guard.files.alert("failsafe", "gone")

    async def scenario(client: Client) -> None:
        assert (await client.post("/kill-switch/reset", json={"by": "alice"})).status == 409
        assert guard.files.stopped()
        assert (await client.post("/clear-failsafe", json={"by": "alice"})).status == 200
        assert (await client.post("/clear-failsafe", json={"by": "alice"})).status == 409

    ask(guard, scenario)
    assert not guard.files.stopped()
    assert guard.files.alerts() == []
    assert guard.files.load() == (Saved(), "")
    assert "FAILSAFE cleared by alice" in (tmp_path / "guard/notifications.log").read_text()


def test_an_alert_without_failsafe_is_cleared_by_name_too(tmp_path: Path) -> None:
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard/autoheal_state.json").write_text("{")
    guard = guard_in(tmp_path / "guard")
    guard.files.alert("autoheal_state_invalid", "torn")

    async def scenario(client: Client) -> None:
        assert (await client.post("/clear-failsafe", json={"by": "alice"})).status == 200
        assert (await client.post("/clear-failsafe", json={"by": "alice"})).status == 409

    ask(guard, scenario)
    assert guard.files.alerts() == []


def test_a_kill_switch_by_hand_stops_the_host_until_it_is_reset(tmp_path: Path) -> None:
    guard = guard_in(tmp_path / "guard")

    async def scenario(client: Client) -> None:
        answer = await client.post("/kill-switch", json={"by": "alice", "reason": "fire"})
        assert (answer.status, await answer.json()) == (200, {"stopped": True, "venue": None})
        assert guard.files.stopped()
        assert (await client.post("/kill-switch/reset", json={"by": "bob"})).status == 200

    ask(guard, scenario)
    assert not guard.files.stopped()
