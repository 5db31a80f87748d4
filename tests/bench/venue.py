"""Benchmark: orders per second that the venue accepts on one core, and their latency; the client has the other core.

python -m tests.bench.venue [--orders N] [--connections N] [--profile FILE]     the cost of fsync is told beside it
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

from stormdesk.testnet.venue import signing
from tests.bench.trader import at, sync_ms
from tests.e2e.stack_harness import cpu_s, eventually, free_port, rss_mib

KEY, SECRET = "bench-key", "bench-secret"
RESTING = 15  # orders of a connection that stay open before all are canceled; the venue takes 200 of a symbol
MANY = 10**9
LIMITS = {"weight_per_min": MANY, "raw_per_5min": MANY, "orders_per_10s": MANY, "orders_per_day": MANY}
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.0002",
    "price": "50000",
}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.0002"}


def request(method: str, path: str, params: dict[str, str]) -> bytes:
    """A signed request as it goes over the wire, made beforehand: the client's work is not what is measured."""
    query = urlencode({**params, "recvWindow": 60_000, "timestamp": int(time.time() * 1000)})
    line = f"{method} /api/v3/{path}?{query}&signature={signing.sign(SECRET, query)} HTTP/1.1\r\n"
    return f"{line}Host: venue\r\nX-MBX-APIKEY: {KEY}\r\nContent-Length: 0\r\n\r\n".encode()


def requests(kind: dict[str, str], count: int, connection: int) -> list[bytes]:
    """What one connection sends, in order."""
    made = []
    for n in range(count):
        made.append(request("POST", "order", {**kind, "newClientOrderId": f"{kind['type']}-{connection}-{n}"}))
        if kind is LIMIT and n % RESTING == RESTING - 1:  # of each connection; all are in step
            made.append(request("DELETE", "openOrders", {"symbol": "BTCUSDT"}))
    return made


async def drive(port: int, wanted: list[bytes]) -> list[float]:
    """Send requests one after the other; milliseconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for data in wanted:
        began = time.perf_counter()
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        took.append((time.perf_counter() - began) * 1000)
        assert head.startswith(b"HTTP/1.1 200") or data.startswith(b"DELETE"), body  # another has canceled all
    writer.close()
    return took


async def load(port: int, kind: dict[str, str], orders: int, connections: int) -> tuple[float, list[float]]:
    """Accepted orders a second, and the sorted milliseconds of all requests. One account, so each client has a turn."""
    share = orders // connections
    plans = [requests(kind, share, number) for number in range(connections)]
    began = time.perf_counter()
    took = await asyncio.gather(*(drive(port, plan) for plan in plans))
    return share * connections / (time.perf_counter() - began), sorted(ms for one in took for ms in one)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--profile", default="")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as home:
        port, control = free_port(), free_port()
        account = {
            "name": "desk",
            "api_key": KEY,
            "api_secret": SECRET,
            "balances": {"USDT": "1000000000", "BTC": "1000"},
        }
        config = {
            "listen": f"127.0.0.1:{port}", "control": f"127.0.0.1:{control}", "data_dir": home, "seed": 7,
            "pidfile": f"{home}/pid", "symbols": ["BTCUSDT", "ETHUSDT"], "accounts": [account], "limits": LIMITS,
        }  # fmt: skip
        Path(home, "venue.json").write_text(json.dumps(config))
        profile = ["-m", "cProfile", "-o", options.profile] if options.profile else []
        command = [sys.executable, *profile, "-m", "stormdesk.testnet.venue", "--config", f"{home}/venue.json"]
        with Path(home, "log").open("wb") as log:
            venue = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            os.sched_setaffinity(venue.pid, {cores[0]})
            os.sched_setaffinity(0, {cores[-1]})
            health = f"http://127.0.0.1:{control}/health"
            eventually("the venue answers", lambda: urllib.request.urlopen(health, timeout=2))
            for name, kind in (("resting limit orders", LIMIT), ("market orders", MARKET)):
                before, began = cpu_s(venue.pid), time.perf_counter()
                rate, took = asyncio.run(load(port, kind, options.orders, options.connections))
                busy = (cpu_s(venue.pid) - before) / (time.perf_counter() - began)
                print(
                    f"{name}: {rate:.0f} accepted/s ({rate / busy:.0f} for each second of its core), "
                    f"ms p50 {at(took, 0.5):.2f} p99 {at(took, 0.99):.2f} max {took[-1]:.2f}, {rss_mib(venue.pid):.0f} MiB"
                )
            synced = sync_ms(Path(home))
            print(f"an append with fdatasync beside it: ms p50 {at(synced, 0.5):.2f} p99 {at(synced, 0.99):.2f}")
        finally:
            venue.terminate()
            venue.wait(15)


if __name__ == "__main__":
    main()
