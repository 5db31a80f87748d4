"""A slow link to a host: latency in both directions, and a host that takes its time to answer."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from dataclasses import dataclass, field

from stormdesk.core.inventory import InventoryHost
from tests.ssh.server import Server


@dataclass
class SlowWay:
    """Dials a server: `trip_s` is a round trip, `silent_s` how long its first bytes take besides; `open` False drops SYNs."""

    server: Server
    trip_s: float = 0.0
    silent_s: float = 0.0
    open: bool = True
    tried: list[float] = field(default_factory=list)

    def dial(self, host: InventoryHost, timeout_s: float) -> socket.socket:
        self.tried.append(timeout_s)
        if not self.open or self.trip_s >= timeout_s:
            time.sleep(min(timeout_s, 0.3))
            raise TimeoutError("timed out")
        time.sleep(self.trip_s)
        far = self.server.dial(host, timeout_s).sock  # type: ignore[attr-defined]
        far.settimeout(None)
        near, ours = socket.socketpair()
        ends = [_later(ours, far, self.trip_s / 2, 0.0), _later(far, ours, self.trip_s / 2, self.silent_s)]

        def close() -> None:
            for end in ends:
                end.join()
            ours.close()
            far.close()

        threading.Thread(target=close, daemon=True).start()
        return near


def _later(source: socket.socket, target: socket.socket, delay_s: float, first_s: float) -> threading.Thread:
    """Whatever comes from `source` goes to `target` after a while, in order; so does its end, and then the thread ends."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue()

    began = time.monotonic()

    def read() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            waiting.put((max(time.monotonic() + delay_s, began + first_s), data))

    def write() -> None:
        data = b"-"
        while data:
            at, data = waiting.get()
            time.sleep(max(0.0, at - time.monotonic()))
            with contextlib.suppress(OSError):
                target.sendall(data) if data else target.shutdown(socket.SHUT_WR)

    threading.Thread(target=read, daemon=True).start()
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    return writer
