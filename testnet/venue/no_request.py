"""Connections without a valid request: those that send none in time, and input that is not HTTP."""

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


class IdleConnections:
    """Drops connections that have not sent one complete request within `request_s`: slow and half-open ones."""

    def __init__(self, request_s: float, dropped: Counter[str]) -> None:
        self._request_s = request_s
        self._dropped = dropped
        self._asked: set[web.RequestHandler] = set()
        self._since: dict[web.RequestHandler, float] = {}

    def asked(self, connection: web.RequestHandler) -> None:
        """Record that a request arrived on the connection."""
        self._asked.add(connection)

    def sweep(self, connections: Iterable[web.RequestHandler], now: float) -> None:
        """Check all open connections; `now` is monotonic."""
        there = set(connections)
        self._asked &= there
        self._since = {connection: self._since.get(connection, now) for connection in there - self._asked}
        for connection, since in self._since.items():
            if now - since > self._request_s and connection.transport is not None:
                self._dropped["no request"] += 1
                connection.transport.abort()


class NotHttp(logging.Filter):
    """Counts input that aiohttp cannot parse and answers with 400, and keeps its tracebacks out of the log."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            self._counts["no HTTP"] += 1
            return False
        return record.levelno >= logging.INFO


def count_not_http(counts: Counter[str]) -> None:
    """Count from now on in `counts`, instead of those of an earlier call."""
    logger = logging.getLogger("aiohttp.server")
    logger.setLevel(logging.DEBUG)  # where aiohttp logs input that is not HTTP from its first byte
    for before in [one for one in logger.filters if isinstance(one, NotHttp)]:
        logger.removeFilter(before)
    logger.addFilter(NotHttp(counts))
