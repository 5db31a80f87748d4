"""Benchmark: market messages per second that the feeder moves from a venue to the bus on one core without loss.

python -m tests.bench.feeder [--rates 10000,20000,30000] [--for SECONDS]

The source offers messages at a set rate: of 20, 12 are trades, 7 bookTickers and one a depth event of ten levels. The
feeder has one core to itself, source and Redis have the others.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from tests.e2e.stack_harness import SYMBOLS, Stack, cpu_s, eventually, home_for_nobody, rss_mib, text

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
SLOT_S = 0.01
LEVELS = [[f"{60000 + n}.01000000", "0.12345000"] for n in range(10)]


def messages(symbol: str, count: int) -> Iterator[bytes]:
    """Market messages of one symbol, in order and without gaps."""
    name, trade, update = symbol.lower(), 0, 0
    for n in range(count):
        if n % 20 == 0:
            update += 20
            data = {
                "e": "depthUpdate",
                "E": 1,
                "s": symbol,
                "U": update - 19,
                "u": update,
                "b": LEVELS[:5],
                "a": LEVELS[5:],
            }
            kind = "depth@100ms"
        elif n % 20 < 8:
            kind = "bookTicker"
            data = {"u": n, "s": symbol, "b": "60000.01000000", "B": "0.5", "a": "60000.02000000", "A": "0.7"}
        else:
            trade += 1
            kind = "trade"
            data = {
                "e": "trade",
                "E": 1,
                "s": symbol,
                "t": trade,
                "p": "60000.01",
                "q": "0.00100000",
                "T": 1,
                "m": True,
                "M": True,
            }
        yield json.dumps({"stream": f"{name}@{kind}", "data": data}, separators=(",", ":")).encode()


def frame(payload: bytes) -> bytes:
    """One unmasked text frame."""
    size = len(payload)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + payload


async def _serve(port: int, rate: int, count: int) -> None:
    pairs = zip(*(messages(symbol, count // 2) for symbol in SYMBOLS), strict=True)
    frames = [frame(message) for pair in pairs for message in pair]
    size = int(rate * SLOT_S)
    slots = [b"".join(frames[at : at + size]) for at in range(0, len(frames), size)]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            if b"Upgrade: websocket" in head:
                break
            body = b'{"lastUpdateId":0,"bids":[],"asks":[]}' if b"/depth" in head else b"[]"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())  # noqa: S324  the protocol's
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        )
        writer.write(answer + accept + b"\r\n\r\n")
        due = time.monotonic()
        for slot in slots:
            writer.write(slot)
            await writer.drain()
            due += SLOT_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.sleep(3600)

    async with await asyncio.start_server(handle, "127.0.0.1", port) as server:
        print("ready", flush=True)
        await server.serve_forever()


def _number(stack: Stack, name: str) -> float:
    lines = text(stack.url("feeder", "metrics")).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"feeder_{name} "))


def measure(rate: int, for_s: float) -> str:
    """Offer that rate for so long; what came out, in a line."""
    count = int(rate * for_s) // 40 * 40
    cores = sorted(os.sched_getaffinity(0))
    with home_for_nobody() as home:
        stack = Stack(home)
        words = [sys.executable, "-m", "tests.bench.feeder", "--serve", str(stack.port["venue"]), str(rate), str(count)]
        source = subprocess.Popen(words, stdout=subprocess.PIPE)
        try:
            assert source.stdout is not None
            assert source.stdout.readline() == b"ready\n"
            stack.redis()
            for pid in (source.pid, stack.processes["redis"].pid, os.getpid()):
                os.sched_setaffinity(pid, cores[1:] or cores)
            stack.start("feeder", ["taskset", "-c", str(cores[0])])
            eventually("the feeder answers", lambda: _number(stack, "messages_total") >= 0)
            pid = stack.processes["feeder"].pid
            began, spent = time.monotonic(), cpu_s(pid)
            while _number(stack, "messages_total") < count and time.monotonic() - began < 3 * for_s:
                time.sleep(0.2)
            took, spent = time.monotonic() - began, cpu_s(pid) - spent
            eventually("published", lambda: _number(stack, "buffer_depth") == 0, 30)
            kept = "none lost"
            if lost := _number(stack, "dropped_total") + _number(stack, "trade_gaps_total"):
                kept = f"{lost:.0f} DROPPED"
            return (
                f"{rate}/s offered: {count / took:.0f}/s taken, {_number(stack, 'published_total'):.0f} published, {kept}; "
                f"{spent / took:.0%} of a core, {spent / count * 1e6:.1f} us each, {rss_mib(pid):.0f} MiB"
            )
        finally:
            os.sched_setaffinity(0, cores)
            stack.down()
            source.kill()
            source.wait(10)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rates", default="10000,20000,30000")
    parser.add_argument("--for", dest="for_s", type=float, default=10.0)
    parser.add_argument("--serve", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        asyncio.run(_serve(*options.serve))
        return
    for rate in options.rates.split(","):
        print(measure(int(rate), options.for_s), flush=True)


if __name__ == "__main__":
    main()
