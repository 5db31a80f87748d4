"""Benchmark: resident memory of a whole trading stack in a lab, with shared pages counted once (PSS), and the sum of RSS.

python -m tests.bench.resident [--topologies core,full] [--for SECONDS]     needs root
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from stormdesk.infra import environment
from stormdesk.infra.backends.lab import processes, records

GOALS = {"core": 900, "full": 2048}


def memory_mib(pids: list[int]) -> tuple[float, float]:
    """PSS and RSS of processes, in MiB; one that ended meanwhile has none."""
    totals = {"Pss:": 0, "Rss:": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, *rest = line.split()
            if name in totals:
                totals[name] += int(rest[0])
    return totals["Pss:"] / 1024, totals["Rss:"] / 1024


def measure(topology: str, for_s: float) -> str:
    """Let a stack trade for so long; what it had at the end, in a line."""
    name = f"bench-{os.getpid()}"
    environment.up(name, topology, "lab", "direct", 3600.0, lambda _: None)
    try:
        time.sleep(for_s)
        below = processes.descendants(records.running(name))
        pss, rss = memory_mib(list(below))
    finally:
        environment.down(name, lambda _: None)
    return f"{topology}: {pss:.0f} MiB resident (goal {GOALS[topology]}), RSS added up {rss:.0f} MiB, {len(below)} processes"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--topologies", default="core,full")
    parser.add_argument("--for", dest="for_s", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["STORMDESK_HOME"] = home
        for topology in options.topologies.split(","):
            print(measure(topology, options.for_s), flush=True)


if __name__ == "__main__":
    main()
