"""The positions snapshot: flushed moves leave memory, others stay, and memory is bounded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import count
from pathlib import Path

from stormdesk import durable
from stormdesk.testnet.trader.snapshot import Move, Snapshot, Snapshots


def snapshots(path: Path, keep: int = 100) -> tuple[Snapshots, dict[str, str]]:
    positions: dict[str, str] = {}
    ticks = count()
    return Snapshots(
        path, lambda: Snapshot(float(next(ticks)), "trader-a", 3, dict(positions), []), keep, print
    ), positions


def move(trade_id: int) -> Move:
    return Move(trade_id, "BTC", f"{trade_id}.5")


def read(path: Path) -> Snapshot:
    document = durable.read_json(path, Snapshot)
    assert document is not None
    return document


def test_scenario_S4_02_the_list_is_empty_after_a_flush(tmp_path: Path) -> None:
    path = tmp_path / "positions_snapshot.json"
    taken, positions = snapshots(path)

    async def scenario() -> None:
        for trade_id in range(20):
            positions["BTC"] = f"{trade_id}.5"
            taken.moved(move(trade_id))
            assert await taken.flush()
            assert taken.moves == []
            assert read(path).moves == [move(trade_id)]

    asyncio.run(scenario())
    assert read(path).positions == {"BTC": "19.5"}
    assert taken.flushes == 20


def test_scenario_S1_02_a_snapshot_that_cannot_be_written_raises_one_alarm(tmp_path: Path) -> None:
    path, said = tmp_path / "positions_snapshot.json", list[str]()
    ticks = count()
    taken = Snapshots(path, lambda: Snapshot(0.0, "trader-a", 1, {"BTC": str(next(ticks))}, []), 100, said.append)

    async def scenario() -> None:
        assert await taken.flush()
        path.with_name(f".{path.name}.new").mkdir()
        assert not await taken.flush()
        assert not await taken.flush()
        path.with_name(f".{path.name}.new").rmdir()
        assert await taken.flush()

    asyncio.run(scenario())
    assert len(said) == 1
    assert said[0].startswith("not written: ")
    assert (taken.failures, taken.flushes) == (2, 2)


def test_without_news_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "positions_snapshot.json"
    taken, positions = snapshots(path)

    async def scenario() -> None:
        for _ in range(3):
            assert await taken.flush()
        assert taken.flushes == 1
        positions["BTC"] = "1"
        assert await taken.flush()
        assert taken.flushes == 2

    asyncio.run(scenario())


def test_what_could_not_be_flushed_waits_and_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "data" / "positions_snapshot.json"
    taken, _ = snapshots(path, keep=5)

    async def scenario() -> None:
        for trade_id in range(8):
            taken.moved(move(trade_id))
            assert not await taken.flush()
        assert "gone" in taken.error
        assert taken.failures == 8
        assert [m.trade_id for m in taken.moves] == [3, 4, 5, 6, 7]
        path.parent.mkdir(parents=True)
        assert await taken.flush()
        assert (taken.moves, taken.error) == ([], "")

    asyncio.run(scenario())
    document = read(path)
    assert [m.trade_id for m in document.moves] == [3, 4, 5, 6, 7]
    assert document.dropped == 3


def test_scenario_S4_02_memory_does_not_grow_with_flushes(tmp_path: Path) -> None:
    """Resident memory of a process of its own, after 500 flushes of 100 moves each and after 2000 more."""
    script = """
import asyncio, re, sys
from pathlib import Path
from stormdesk.testnet.trader.snapshot import Move, Snapshot, Snapshots

def rss_kib():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

async def main():
    numbers = iter(range(10**9))
    taken = Snapshots(Path(sys.argv[1]), lambda: Snapshot(0.0, "trader-a", 1, {"BTC": str(next(numbers))}, []), 10**9, print)
    async def flushes(count):
        for _ in range(count):
            for _ in range(100):
                taken.moved(Move(next(numbers), "BTC", str(next(numbers))))
            assert await taken.flush()
            assert not taken.moves
        return rss_kib()
    before = await flushes(500)
    print(await flushes(2000) - before)

asyncio.run(main())
"""
    words = [sys.executable, "-c", script, str(tmp_path / "positions_snapshot.json")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    print(f"grown by {int(done.stdout)} KiB in 2000 flushes of 100 moves")
    assert int(done.stdout) < 2048, "200 000 moves that stayed would be 20 MiB and more"
