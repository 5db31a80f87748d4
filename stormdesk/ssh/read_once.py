"""Connections for many plans at once: what one of them has read of a host, the next ones know."""

from __future__ import annotations

import threading
from collections import defaultdict

from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Completed
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.transport import Dialer


class ReadOnce(Pool):
    """A pool that runs each script once on each host and gives later callers the same answer. Only for scripts that read, and
    for as long as an answer of the first second still holds at the last."""

    def __init__(self, inventory: Inventory, dialer: Dialer) -> None:
        super().__init__(inventory, dialer)
        self._answers: dict[tuple[str, str], Completed] = {}
        self._reading: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)

    def script(self, host: str, text: str, deadline_s: float) -> Completed:  # type: ignore[explicit-override]  # from 3.12
        """As `Pool.script`. An error is not kept: the next caller asks again."""
        with self._reading[host, text]:
            if (host, text) not in self._answers:
                self._answers[host, text] = super().script(host, text, deadline_s)
            return self._answers[host, text]
