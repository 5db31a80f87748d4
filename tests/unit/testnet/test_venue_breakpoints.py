"""Breakpoints of the venue over real sockets: the order is in the journal, and nobody is told until the breakpoint is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from stormdesk.testnet.venue import signing
from stormdesk.testnet.venue.control import control_app
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.rest import venue_app
from tests.unit.testnet.test_venue_rest import LIMIT, MARKET, Client, call, desk

Scenario = Callable[[Client, Client, Desk], Awaitable[None]]
SYMBOL = {"symbol": "BTCUSDT"}


def at_the_venue(home: Path, scenario: Scenario) -> None:
    """Run it with a client of the public side, and one of the control port."""

    async def run() -> None:
        it = desk(home)
        async with TestClient(TestServer(venue_app(it))) as client, TestClient(TestServer(control_app(it))) as control:
            await scenario(client, control, it)
        it.journal.close()

    asyncio.run(run())


async def ask(control: Client, method: str, path: str, body: object = None) -> tuple[int, Any]:
    response = await control.request(method, path, json=body)
    return response.status, await response.json()


async def begin(control: Client, on: str, nth: int = 1, for_s: float = 60.0) -> None:
    status, said = await ask(control, "POST", "/breakpoints", {"id": "b", "on": on, "nth": nth, "for_s": for_s})
    assert (status, said["state"]) == (201, "waiting"), said


def place(client: Client, cid: str, order: dict[str, str]) -> asyncio.Task[tuple[int, Any]]:
    return asyncio.create_task(call(client, "POST", "order", {**order, "newClientOrderId": cid}))


def marks(it: Desk) -> list[Any]:
    """The journal's lines about orders and breakpoints, in their order: the kind, or the breakpoint's state."""
    lines = [msgspec.json.decode(line) for line in b"".join(it.journal.since(0)).splitlines()]
    return [
        line["detail"]["state"] if line["kind"] == "MARK" else line["kind"] for line in lines if line["kind"] != "OPEN"
    ]


def test_the_third_order_is_accepted_and_its_answer_waits(tmp_path: Path) -> None:
    async def scenario(client: Client, control: Client, it: Desk) -> None:
        await begin(control, "accepted", 3)
        for cid in ("a1", "a2"):
            assert (await place(client, cid, LIMIT))[0] == 200
        assert (await ask(control, "GET", "/breakpoints/b"))[1]["state"] == "waiting"
        third = place(client, "a3", LIMIT)
        status, said = await ask(control, "GET", "/breakpoints/b?wait=5")
        assert (status, said["state"], said["client_order_id"], said["seen"]) == (200, "holding", "a3", 3)
        line = msgspec.json.decode(b"".join(it.journal.since(said["journal_seq"] - 1)).splitlines()[0])
        assert (line["kind"], line["client_order_id"]) == ("ACCEPTED", "a3")
        assert (await call(client, "GET", "order", {**SYMBOL, "origClientOrderId": "a3"}))[1]["status"] == "NEW"
        assert (await place(client, "a4", LIMIT))[0] == 200
        await asyncio.sleep(0.2)
        assert not third.done()
        assert (await ask(control, "GET", "/breakpoints/b"))[1]["answered"] == 0
        assert (await ask(control, "DELETE", "/breakpoints/b"))[1]["by"] == "request"
        assert (await third)[1]["clientOrderId"] == "a3"
        said = (await ask(control, "DELETE", "/breakpoints/b"))[1]
        assert (said["state"], said["by"], said["answered"]) == ("over", "request", 1)
        assert marks(it) == [*["REQUEST", "ACCEPTED"] * 3, "holding", "REQUEST", "ACCEPTED", "over", "over"]

    at_the_venue(tmp_path, scenario)


async def reports(client: Client, heard: list[Any]) -> None:
    """Subscribe to the user stream, and hear it."""
    stamp = int(time.time() * 1000)
    query = f"apiKey=key&timestamp={stamp}"
    params = {"apiKey": "key", "timestamp": stamp, "signature": signing.sign("secret", query)}
    async with client.ws_connect("/ws-api/v3") as socket:
        await socket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})
        while True:
            heard.append(await socket.receive_json())


@pytest.mark.parametrize(("on", "order"), [("accepted", LIMIT), ("filled", MARKET), ("canceled", LIMIT)])
def test_the_user_stream_says_nothing_of_it_either(tmp_path: Path, on: str, order: dict[str, str]) -> None:
    async def scenario(client: Client, control: Client, it: Desk) -> None:
        it.tick()
        heard: list[Any] = []
        listening = asyncio.create_task(reports(client, heard))
        while not heard:
            await asyncio.sleep(0.01)
        if on == "canceled":
            await place(client, "a1", order)
        await begin(control, on)
        if on == "canceled":
            waiting = asyncio.create_task(call(client, "DELETE", "order", {**SYMBOL, "origClientOrderId": "a1"}))
        else:
            waiting = place(client, "a1", order)
        assert (await ask(control, "GET", "/breakpoints/b?wait=5"))[1]["state"] == "holding"
        await asyncio.sleep(0.1)
        told = {m["event"]["x"] for m in heard if m.get("event", {}).get("e") == "executionReport"}
        assert told == ({"NEW"} if on == "canceled" else set())
        assert not waiting.done()
        await ask(control, "DELETE", "/breakpoints/b")
        assert (await waiting)[0] == 200
        await asyncio.sleep(0.1)
        told = {m["event"]["x"] for m in heard if m.get("event", {}).get("e") == "executionReport"}
        assert told == {"NEW", *{"filled": ["TRADE"], "canceled": ["CANCELED"]}.get(on, [])}
        listening.cancel()

    at_the_venue(tmp_path, scenario)


def test_it_lets_go_by_itself_at_its_deadline(tmp_path: Path) -> None:
    async def scenario(client: Client, control: Client, it: Desk) -> None:
        await begin(control, "accepted", for_s=0.2)
        first = place(client, "a1", LIMIT)
        assert (await ask(control, "GET", "/breakpoints/b?wait=5"))[1]["state"] == "holding"
        it.tick()
        await asyncio.sleep(0.3)
        assert not first.done()
        it.tick()
        assert (await first)[0] == 200
        said = (await ask(control, "GET", "/breakpoints/b"))[1]
        assert (said["state"], said["by"], said["answered"]) == ("over", "deadline", 1)

    at_the_venue(tmp_path, scenario)


def test_one_that_is_lifted_before_it_is_reached_holds_nothing(tmp_path: Path) -> None:
    async def scenario(client: Client, control: Client, it: Desk) -> None:
        await begin(control, "accepted", 2)
        assert (await place(client, "a1", LIMIT))[0] == 200
        assert (await ask(control, "DELETE", "/breakpoints/b"))[1]["state"] == "over"
        assert (await place(client, "a2", LIMIT))[0] == 200
        assert it.breakpoints.active == {}

    at_the_venue(tmp_path, scenario)


def test_a_venue_that_shuts_down_answers_first(tmp_path: Path) -> None:
    async def scenario(client: Client, control: Client, it: Desk) -> None:
        await begin(control, "accepted")
        first = place(client, "a1", LIMIT)
        assert (await ask(control, "GET", "/breakpoints/b?wait=5"))[1]["state"] == "holding"
        it.breakpoints.close()
        assert (await first)[0] == 200

    at_the_venue(tmp_path, scenario)


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"id": "x", "on": "refused", "nth": 1, "for_s": 5}, {"id": "x", "on": "accepted", "nth": 0, "for_s": 5},
        {"id": "", "on": "accepted", "nth": 1, "for_s": 5}, {"id": "x", "on": "accepted", "nth": 1, "for_s": 1e9}, "nonsense",
    ],
)  # fmt: skip
def test_a_wrong_request_sets_nothing(tmp_path: Path, asked: object) -> None:
    async def scenario(_: Client, control: Client, it: Desk) -> None:
        status, said = await ask(control, "POST", "/breakpoints", asked)
        assert (status, bool(said["error"])) == (400, True)
        assert it.breakpoints.active == {}
        assert (await ask(control, "GET", "/breakpoints/x"))[0] == 404
        assert (await ask(control, "DELETE", "/breakpoints/x"))[0] == 404
        assert (await ask(control, "GET", "/breakpoints/x?wait=long"))[0] in (400, 404)

    at_the_venue(tmp_path, scenario)
