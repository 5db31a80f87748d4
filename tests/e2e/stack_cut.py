"""A consistent cut of the stack on loopback: the files of docs/formats/cut.md, from the services' folders."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from redis import Redis

from stormdesk.evidence import cut as cuts
from stormdesk.evidence.cut.lines import Consumer, Process, Processes
from stormdesk.evidence.judges import DRAIN_S
from stormdesk.evidence.stack_readers import STATE_FILES, TABLES, on_redis, on_the_bus, reader
from tests.e2e.stack_harness import Stack, get, text
from tests.unit.histories import write_orders

ASKED = ("epochs", "state-files", "throttling", "feeder", "bus", "operators")


def processes(stack: Stack, *names: str) -> Processes:
    """The processes that our services' pid files name; all of them are on one host, `test`."""
    found = {}
    for name in names:
        try:
            pid = int((stack.home / f"{name}.pid").read_text())
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, ValueError):
            continue
        found[name] = Process(pid=pid, start_ticks=int(stat.rpartition(")")[2].split()[19]))
    return {"test": found}


def drained(stack: Stack, *traders: str, deadline_s: float = DRAIN_S) -> tuple[float | None, dict[str, dict[str, int]]]:
    """Hold the traders that run; how long the drain took, or None and what was left at the deadline."""
    began = time.monotonic()
    running = [name for name in traders if name in stack.processes]
    for name in running:
        stack.trader("hold", "POST", name[-1])
    while True:
        left = {name: stack.trader("drain", which=name[-1]) for name in running}
        left = {name: {k: int(v) for k, v in numbers.items() if k != "held" and v} for name, numbers in left.items()}
        took = time.monotonic() - began
        if not any(left.values()):
            return took, {}
        if took > deadline_s:
            return None, left
        time.sleep(0.05)


def read_files(stack: Stack, *traders: str, **meta: Any) -> dict[str, bytes]:
    """Every source as it is now. `meta` is what the cut's meta.json says besides, or instead."""
    now = time.time()
    said = {"t": now, "environment": "test", "hosts": ["test"], "traders": traders, "drain_s": 0.0, "one_clock": True}
    files = {
        "meta.json": msgspec.json.encode({**said, "hold": {"started": now, "ended": now}, **meta}),
        "venue.jsonl": text(stack.url("control", "journal?since=0")).encode(),
        "balances.json": text(stack.url("control", "balances")).encode(),
    }
    for name, statement in TABLES.items():
        files[f"{name}.jsonl"] = _rows(stack, statement)
    for name in traders:
        files[cuts.ledger_name(name)] = stack.ledger_path(name).read_bytes()
        aside = stack.ledger_path(name).with_suffix(".quarantine")
        if aside.is_file():
            files[cuts.quarantine_name(name)] = aside.read_bytes()
    files["processes.json"] = msgspec.json.encode(processes(stack, *stack.processes))
    if "feeder" in stack.processes:
        files |= _market_data(stack) | _bus(stack, traders)
    write_orders(files, stack.orders)
    files["state-files.json"] = json.dumps({name: _state_files(stack, name) for name in traders}).encode()
    return files


def read_cut(stack: Stack, *traders: str, **meta: Any) -> cuts.Cut:
    """Every source of a quiet stack."""
    return cuts.parse(read_files(stack, *traders, **meta))


def settled_cut(stack: Stack, *traders: str, deadline_s: float = 15.0, **meta: Any) -> cuts.Cut:
    """Hold, drain, and read until all sources have caught up with each other or the deadline passes: as evidence/take_cut.py."""
    drain_s, left = drained(stack, *traders)
    until = time.monotonic() + deadline_s
    while True:
        cut = read_cut(stack, *traders, drain_s=drain_s, left=left, **meta)
        if cuts.settled(cut) or time.monotonic() > until:
            return cut
        time.sleep(0.1)


def _rows(stack: Stack, statement: str) -> bytes:
    with psycopg.connect(stack.dsn(), autocommit=True, connect_timeout=2) as connection:
        return b"".join(json.dumps(row).encode() + b"\n" for (row,) in connection.execute(statement))


def _market_data(stack: Stack) -> dict[str, bytes]:
    md = {path.stem: path for path in sorted((stack.home / "feeder" / "md").glob("*.jsonl"))}
    books = {symbol: get(stack.url("feeder", f"book?symbol={symbol}")) for symbol in md}
    at = {symbol: book["lastUpdateId"] for symbol, book in books.items()}
    depth = {symbol: get(stack.url("control", f"depth?symbol={symbol}&at={at[symbol]}")) for symbol in md}
    files = {cuts.md_name(symbol): path.read_bytes() for symbol, path in md.items()}
    return files | {"books.json": json.dumps(books).encode(), "depth.json": json.dumps(depth).encode()}


def _bus(stack: Stack, traders: tuple[str, ...]) -> dict[str, bytes]:
    redis = Redis(port=stack.port["redis"], decode_responses=True)
    newest = [(number, [*sum(fields.items(), ())]) for number, fields in redis.xrevrange("md", count=200)]
    redis.close()
    consumers = {name: _reader(stack, name) for name in traders if name in stack.processes}
    return {
        "bus.jsonl": on_the_bus(on_redis(json.dumps(newest).encode())),
        "consumers.json": msgspec.json.encode(consumers),
    }


def _reader(stack: Stack, name: str) -> Consumer:
    """A trader's numbers, when it is at the end; or as they are after 5 s."""
    until = time.monotonic() + 5
    while True:
        found = reader(
            "\n".join(line for line in text(stack.url(name[-1], "metrics")).splitlines() if line.startswith("bus_"))
        )
        if not found.lag or time.monotonic() > until:
            return found
        time.sleep(0.2)


def _state_files(stack: Stack, name: str) -> dict[str, dict[str, object]]:
    folders = [stack.data(name), stack.home / f"guard-{name[-1]}"]
    found = {path: folder / path for path in STATE_FILES for folder in folders if (folder / path).is_file()}
    return {
        path: {"mtime": file.stat().st_mtime, "content": file.read_text(errors="replace")}
        for path, file in found.items()
    }
