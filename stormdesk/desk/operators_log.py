"""Who ordered what of the desk, and when: operators.jsonl on the orchestrator's host, docs/formats/operators-log.md.

An order is written down before it is given and after it has ended. What cannot be written is told to the operator; it never
keeps an order from being given.
"""

from __future__ import annotations

import functools
import inspect
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import Any

import msgspec

from stormdesk.core.errors import StormdeskError
from stormdesk.run.operate import Report
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import defer_signals
from stormdesk.ssh.threads import Threads

LOG = "operators/operators.jsonl"  # below the data folder
WRITE_S = 10.0
# The chain is made on the host, under a lock, so that two operators at once do not both follow the same line.
APPEND = """
log=$1 body=$2
umask 027
mkdir -p "${log%/*}" && exec 9>>"$log.lock" && flock -w 5 9 || exit 1
prev=$(tail -n 1 "$log" 2>/dev/null | sed -n 's/.*"h":"\\([0-9a-f]\\{64\\}\\)"}$/\\1/p')
[ -z "$(tail -c 1 "$log" 2>/dev/null)" ] || echo >>"$log"
[ -n "$prev" ] || prev=0000000000000000000000000000000000000000000000000000000000000000
h=$(printf '%s%s' "$prev" "$body" | sha256sum) || exit 1
printf '%s,"prev":"%s","h":"%s"}\\n' "${body%\\}}" "$prev" "${h%% *}" >>"$log" && sync "$log"
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line, without what chains it. `t` in seconds since 1970 by the operator's clock; the lines of one order share `id`; `phase` is
    ordered, done (with the command's exit code) or refused (with why)."""

    v: int
    id: str
    t: float
    task: str
    by: str
    phase: str
    options: dict[str, Any] = {}
    exit_code: int | None = None
    why: str = ""


def append(pool: Pool, entry: Entry) -> str:
    """Write one entry; "" or why it was not written. A stack without an orchestrator has no log, and nothing is missing there."""
    host = next((host for host in pool.inventory.hosts.values() if "orchestrator" in host.services), None)
    if host is None:
        return ""
    body = msgspec.json.encode(entry).decode()
    try:
        done = pool.run(host.name, ("sh", "-c", APPEND, "sh", f"{host.paths['data']}/{LOG}", body), WRITE_S)
    except StormdeskError as error:
        return str(error)
    return "" if done.ok else " ".join(done.stderr.split())[:200] or f"{host.name}: it ended with {done.code}"


Order = Callable[..., Report]


def recorded(task: str) -> Callable[[Order], Order]:
    """An operator's order, `order(pool, **options)`, that is written down: when it was given, and how it ended. It does not wait
    for the first of the two."""

    def decorate(order: Order) -> Order:
        signature = inspect.signature(order)

        @functools.wraps(order)
        def ordered(*args: Any, **options: Any) -> Report:
            given = signature.bind(*args, **options)
            given.apply_defaults()
            said = {name: value for name, value in given.arguments.items() if name != "pool" and value}
            by, pool, threads = str(said.pop("by", "")), given.arguments["pool"], Threads(1)
            known: dict[str, Any] = {"v": 1, "id": secrets.token_hex(4), "task": task, "by": by, "options": said}

            def write(phase: str, **more: Any) -> Future[str]:
                return threads.submit(append, pool, Entry(**known, phase=phase, t=time.time(), **more))

            first = write("ordered")
            try:
                report = order(*args, **options)
            except StormdeskError as error:
                write("refused", why=str(error))
                raise
            last = write("done", exit_code=int(report.exit_code))
            unwritten = _ended(first) or _ended(last)
            return replace(report, lines=(*report.lines, f"not in the operators' log: {unwritten}")) if unwritten else report

        return ordered

    return decorate


def _ended(write: Future[str]) -> str:
    """Why it was not written, so far; "" when it was."""
    with defer_signals():
        done = wait([write], WRITE_S).done
    return write.result() if done else f"no answer for {WRITE_S:g} s"
