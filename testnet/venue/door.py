"""Who may stay connected, and what is no HTTP at all: what happens before there is a request."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class Door:
    """Drops connections that have not sent one whole request within `request_s`: the slow and the half-open."""

    def __init__(self, request_s: float, dropped: Counter[str]) -> None:
        self._request_s = request_s
        self._dropped = dropped
        self._asked: set[web.RequestHandler] = set()
        self._since: dict[web.RequestHandler, float] = {}

    def asked(self, connection: web.RequestHandler) -> None:
        """A request came over it."""
        self._asked.add(connection)

    def sweep(self, connections: Iterable[web.RequestHandler], now: float) -> None:
        """Look at all connections that there are; `now` is monotonic."""
        there = set(connections)
        self._asked &= there
        self._since = {connection: self._since.get(connection, now) for connection in there - self._asked}
        for connection, since in self._since.items():
            if now - since > self._request_s and connection.transport is not None:
                self._dropped["no request"] += 1
                connection.transport.abort()


class NoHttp(logging.Filter):
    """Counts what aiohttp could not read, which it answers with 400, instead of a traceback for each in the log."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            self._counts["no HTTP"] += 1
            return False
        return record.levelno >= logging.INFO


def count_no_http(counts: Counter[str]) -> None:
    """Count from now on, in place of who counted before."""
    logger = logging.getLogger("aiohttp.server")
    logger.setLevel(logging.DEBUG)  # what is no HTTP from its first byte is told there
    for before in [one for one in logger.filters if isinstance(one, NoHttp)]:
        logger.removeFilter(before)
    logger.addFilter(NoHttp(counts))
