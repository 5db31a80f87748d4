"""Benchmark: the cost of an order in the trader and its growth: intent to the venue's ack, beside the cost of fsync, and RSS
slopes.

python -m tests.bench.trader [--for SECONDS] [--rate ORDERS_PER_S]     needs root, for a disk of the trader's own
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.stack_harness import Stack, home_for_nobody, rss_mib

TRADER = "trader-a"
SYNCS = 500
LINE = b"x" * 350  # as long as an INTENT


def ack_ms(lines: Iterable[Mapping[str, Any]]) -> list[float]:
    """From each INTENT, before it was written, to the ACK that the venue's answer gave; milliseconds, sorted. Both
    instants are in the ledger, by one clock."""
    began: dict[str, float] = {}
    took: list[float] = []
    for line in lines:
        if line["kind"] == "INTENT":
            began[line["client_order_id"]] = line["t"]
        elif line["kind"] == "ACK":
            took.append((line["t"] - began[line["client_order_id"]]) * 1000)
    return sorted(took)


def sync_ms(folder: Path) -> list[float]:
    """Appends of a line with fdatasync, as the ledger makes them, on that file system; milliseconds, sorted."""
    path = folder / "sync"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    took = []
    for _ in range(SYNCS):
        began = time.perf_counter()
        os.write(fd, LINE)
        os.fdatasync(fd)
        took.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    path.unlink()
    return sorted(took)


def at(ordered: Sequence[float], share: float) -> float:
    """The value that this share of the others does not exceed."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def slope_kib_per_min(samples: Sequence[tuple[float, float]]) -> float:
    """Growth of (seconds, MiB) samples, by least squares over the second half: the first is warming up."""
    late = samples[len(samples) // 2 :]
    return statistics.linear_regression([t for t, _ in late], [mib for _, mib in late]).slope * 1024 * 60


def measure(for_s: float, rate: float) -> list[str]:
    """Trade for that long on loopback with the trader's ledger on a disk of its own; what came out, in lines."""
    with home_for_nobody() as home:
        stack = Stack(home)
        try:
            disk = stack.put_on_disk(TRADER, 256)
            alone = sync_ms(disk.path)
            stack.redis()
            stack.postgres()
            for name in ("venue", "feeder"):
                stack.start(name)
            stack.start(TRADER, orders_per_s=rate)
            stack.trading()
            samples: dict[str, list[tuple[float, float]]] = {name: [] for name in stack.processes}
            until = time.monotonic() + for_s
            while (now := time.monotonic()) < until:
                for name, found in samples.items():
                    found.append((now, rss_mib(stack.processes[name].pid)))
                time.sleep(1.0)
            acks = ack_ms(stack.ledger_lines(TRADER))
        finally:
            stack.down()
    kind = "ext4 on a loop device" if disk.loop else "tmpfs: its fsync costs nothing"
    lines = [
        f"intent to venue ack: p50 {at(acks, 0.5):.1f} ms, p99 {at(acks, 0.99):.1f} ms (goal 15), {len(acks)} orders",
        f"one line and its fdatasync: p50 {at(alone, 0.5):.2f} ms, p99 {at(alone, 0.99):.2f} ms ({kind})",
    ]
    for name, found in samples.items():
        lines.append(f"{name}: {found[-1][1]:.0f} MiB resident, {slope_kib_per_min(found):+.0f} KiB a minute")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--for", dest="for_s", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=4.0)
    options = parser.parse_args()
    print(json.dumps({"for_s": options.for_s, "rate": options.rate}), *measure(options.for_s, options.rate), sep="\n")


if __name__ == "__main__":
    main()
