"""A reverse proxy between a trader and the venue's REST, for faults of single requests: a rule answers a request itself, or
swallows its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, web
from yarl import URL


@dataclass(frozen=True)
class Said:
    """An answer of the proxy's own."""

    status: int
    document: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Late:
    """The request lies on the wire for so long, and then arrives."""

    seconds: float


DROP = Said(0, {})  # the venue did it, and the connection ends without a word
Rule = Callable[[str, str], Said | Late | None]  # (method, path) -> an answer instead; None lets it through


class Proxy:
    """Listens on a port of its own thread. `rule` is looked at for each request; `asked` is what came, with seconds of a clock."""

    def __init__(self, port: int, upstream: str) -> None:
        self.rule: Rule = lambda _method, _path: None
        self.asked: list[tuple[float, str, str]] = []
        self.delay_s = 0.0
        self.port = port
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._session: ClientSession | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner, session = self._loop.run_until_complete(self._open())
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(session.close())
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _open(self) -> tuple[web.AppRunner, ClientSession]:
        self._session = ClientSession()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner, self._session

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v3/")
        self.asked.append((self._loop.time(), request.method, path))
        said = self.rule(request.method, path)
        if isinstance(said, Said) and said is not DROP:
            return web.json_response(said.document, status=said.status, headers=said.headers)
        await asyncio.sleep(said.seconds if isinstance(said, Late) else self.delay_s)
        answer = await self._upstream_answer(request)
        if (said is DROP or answer is None) and request.transport is not None:
            request.transport.abort()
        return answer or web.Response(status=502)

    async def _upstream_answer(self, request: web.Request) -> web.Response | None:
        assert self._session is not None
        url = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        headers = {k: v for k, v in request.headers.items() if k in ("X-MBX-APIKEY", "Content-Type")}
        body = await request.read()
        try:
            async with self._session.request(request.method, url, headers=headers, data=body) as answer:
                data = await answer.read()
        except ClientError:
            return None
        kept = {
            k: v for k, v in answer.headers.items() if k.startswith("X-MBX") or k in ("Retry-After", "Content-Type")
        }
        return web.Response(status=answer.status, body=data, headers=kept)
