"""A TCP relay between a service and a server that can fall silent as a network does, with all connections up."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Wire:
    """Relays `127.0.0.1:port` to `127.0.0.1:upstream` from a thread of its own. While it is cut nothing passes, new
    connections included; what waited passes afterwards, like TCP's retransmissions."""

    def __init__(self, port: int, upstream: int) -> None:
        self._ports = port, upstream
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._relay, "127.0.0.1", self._ports[0]))
        self._whole.set()
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._ports[1])
            try:
                pumps = [self._pump(reader, there_writer), self._pump(there_reader, writer)]
                await asyncio.wait([asyncio.create_task(pump) for pump in pumps], return_when=asyncio.FIRST_COMPLETED)
            finally:
                there_writer.close()
        except (OSError, asyncio.CancelledError):  # streams log a cancelled handler as an error
            pass
        finally:
            with contextlib.suppress(RuntimeError):
                writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
