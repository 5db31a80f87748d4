"""Runs the checks of a script in a client's own environment, where there is neither Stormdesk nor pytest.

Each function named `check_...` is a check; it is told as one line `CHECK [name, error]`, error "" when it held.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

REST = os.environ.get("VENUE_REST", "http://127.0.0.1:8080")
WS = os.environ.get("VENUE_WS", "ws://127.0.0.1:8080")
CONTROL = "http://127.0.0.1:8081"
KEY, SECRET = os.environ["API_KEY"], os.environ["API_SECRET"]
DEADLINE_S = 90
POLL_S = 0.05


class Late(BaseException):
    """A check took too long. Nothing that a client catches."""


def control(path: str, body: object = None, method: str = "") -> Any:
    """Ask the venue's control port."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{CONTROL}/{path}", data=data, method=method or ("POST" if data else "GET"))  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    return [json.loads(line) for line in text.splitlines()] if path.startswith("journal") else json.loads(text)


@contextmanager
def fault(name: str, at_least: int = 1, **params: str) -> Iterator[None]:
    """A fault of the venue while the block runs; it must have struck by then."""
    id_ = control("faults", {"name": name, "for_s": DEADLINE_S, "seed": 1, "params": params})["id"]
    try:
        yield
    finally:
        ended = control(f"faults/{id_}", method="DELETE")
    assert ended["hits"] >= at_least, ended


def journal(client_order_id: str) -> list[str]:
    """The kinds of the journal's lines about an order, in order."""
    return [line["kind"] for line in control("journal?since=0") if line.get("client_order_id") == client_order_id]


def eventually(what: str, check: Callable[[], Any]) -> Any:
    """The first true value of a question."""
    end = time.monotonic() + DEADLINE_S
    while not (value := check()):
        assert time.monotonic() < end, f"{what}: not within {DEADLINE_S} s"
        time.sleep(POLL_S)
    return value


def raises(kind: type[BaseException], call: Callable[..., Any], *words: Any, **named: Any) -> BaseException:
    """The error of a call, which must be exactly of that class."""
    value, error = None, None
    try:
        value = call(*words, **named)
    except kind as raised:
        error = raised
    assert type(error) is kind, f"{type(error).__name__} {error} instead of {kind.__name__}; the call gave {value}"
    return error


def run(script: Mapping[str, Any], before: Callable[[], object] = bool) -> None:
    """Run all checks of a script, one after the other; `before` them as soon as the venue answers."""
    eventually("the venue answers", _answers)
    before()
    signal.signal(signal.SIGALRM, _late)
    for name, check in list(script.items()):
        if not name.startswith("check_"):
            continue
        error = ""
        signal.alarm(DEADLINE_S)
        try:
            if inspect.iscoroutinefunction(check):
                asyncio.run(check())
            else:
                check()
        except (Exception, Late):  # noqa: BLE001
            error = traceback.format_exc()
        signal.alarm(0)
        print("CHECK " + json.dumps([name, error]), flush=True)
    sys.stdout.flush()
    os._exit(0)  # some clients leave threads behind


def _late(*_: object) -> None:
    raise Late(f"not within {DEADLINE_S} s")


def _answers() -> bool:
    try:
        return bool(control("health")["ok"])
    except OSError:
        return False
