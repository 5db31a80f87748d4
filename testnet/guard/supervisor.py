"""supervisord, over its unix socket: XML-RPC in HTTP."""

from __future__ import annotations

import xmlrpc.client
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from xml.parsers.expat import ExpatError

import aiohttp

ANSWER_S = 3.0
STOP_S = 12.0  # supervisord kills a program that has not stopped after five seconds
NOT_RUNNING, ALREADY_STARTED = 70, 60
STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


@dataclass(frozen=True)
class Process:
    """A program at supervisord: its state as supervisord names it ("" when it does not answer), and its pid, 0 for no process."""

    state: str = ""
    pid: int = 0
    uptime_s: float = 0.0


class SupervisorError(Exception):
    """It refused, or did not answer."""


class Manager(Protocol):
    """What a guard asks of whatever runs the service; both raise SupervisorError."""

    async def process(self, name: str) -> Process: ...
    async def restart(self, name: str) -> None: ...


class Supervisor:
    """The supervisor behind one socket; use it as a context manager."""

    def __init__(self, socket: str) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def process(self, name: str) -> Process:
        """A program's process. Raises SupervisorError."""
        info = await self._call("getProcessInfo", name)
        return Process(str(info["statename"]), int(info["pid"]), float(info["now"] - info["start"]))

    async def restart(self, name: str) -> None:
        """Stop a program if it runs (supervisord kills it after a while), then start it. Raises SupervisorError."""
        if (await self.process(name)).state not in STOPPED:
            await self._call("stopProcess", name, fine=NOT_RUNNING, within_s=STOP_S)
        await self._call("startProcess", name, fine=ALREADY_STARTED)

    async def _call(self, method: str, *words: str, fine: int = 0, within_s: float = ANSWER_S) -> Any:
        body = xmlrpc.client.dumps(words, f"supervisor.{method}")
        headers = {"Content-Type": "text/xml"}
        limit = aiohttp.ClientTimeout(total=within_s)
        try:
            async with self._session.post("http://localhost/RPC2", data=body, headers=headers, timeout=limit) as answer:
                answer.raise_for_status()
                return xmlrpc.client.loads(await answer.text())[0][0]
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == fine:
                return None
            raise SupervisorError(f"{method} {' '.join(words)}: {fault.faultString}") from fault
        except (aiohttp.ClientError, OSError, TimeoutError, ExpatError, IndexError) as error:
            raise SupervisorError(f"supervisord: {error or type(error).__name__}") from error
