"""Scenarios S1: a trader on a small real disk that is full, lies about fsync, disappears, or gives back other bytes.

One stack for all tests of the file; each leaves it trading.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from stormdesk import durable
from stormdesk.core.model import Verdict
from stormdesk.evidence.judges import JUDGES
from stormdesk.testnet.ledger import chain
from stormdesk.testnet.resilience import Overrides
from stormdesk.testnet.trader.snapshot import Snapshot
from tests.e2e.stack_disk import Disk
from tests.e2e.stack_harness import ROOT, Stack, eventually, shortened
from tests.e2e.test_stack_trades import assert_exact, read_cut
from tests.skips import cannot

pytestmark = pytest.mark.skipif(not ROOT, reason="a disk for one process needs root")

TRADER = "trader-a"
NUMBERS: Overrides = {
    "order": {"recv_window_ms": 2000, "request_timeout_s": 3, "quiet_s": 6},
    "snapshot": {"interval_s": 1},
    "ledger": {"restore_s": 4},
}
NO_ROOM = "disk full: [Errno 28] No space left on device"


@pytest.fixture(scope="module")
def stack(timers: Callable[[Overrides], Overrides]) -> Iterator[Stack]:
    with shortened(timers(NUMBERS)) as stack:
        stack.put_on_disk(TRADER, 16)
        stack.up()
        yield stack


@pytest.fixture
def disk(stack: Stack) -> Disk:
    return stack.disk(TRADER)


@pytest.fixture(autouse=True)
def _trades_before_and_after(stack: Stack) -> Iterator[None]:
    stack.trading(more=6)
    yield
    stack.trader("resume", "POST")
    stack.trading(more=3, deadline_s=60)


def records(stack: Stack) -> list[chain.Record]:
    found, _ = chain.read(stack.ledger_path().read_bytes())
    return found


def refused_ids(stack: Stack, reason: str) -> set[str]:
    rows = stack.sql(f"select client_order_id from orders where reason like '{reason}%'")  # noqa: S608
    return {cid for (cid,) in rows}


def seen_by_venue(stack: Stack) -> set[str]:
    return {line["client_order_id"] for line in stack.journal() if line["kind"] == "REQUEST"}


def restart_with(stack: Stack, change: Any) -> bytes:
    """Kill the trader, let `change` alter its ledger's bytes, start it. Gives the altered bytes without a torn tail."""
    stack.kill(TRADER)
    path = stack.ledger_path()
    changed: bytes = change(path.read_bytes())
    path.write_bytes(changed)
    stack.start(TRADER)
    stack.trading()
    return changed[: changed.rfind(b"\n") + 1]


def test_scenario_S1_01_disk_full_during_a_ledger_write(stack: Stack, disk: Disk) -> None:
    """Refused with the reason, no call of the venue, the ledger readable; trading resumes when there is room."""
    disk.fill()
    before = stack.count("refused")
    eventually("refused orders", lambda: stack.count("refused") >= before + 10, 40)
    ready = stack.trader("ready")
    assert ready["ready"] is False
    assert any(reason.startswith(f"Ledger: {NO_ROOM}") for reason in ready["reasons"])
    _, reading = chain.read(stack.ledger_path().read_bytes())
    assert (reading.bad, reading.breaks, reading.torn) == ([], [], b"")
    disk.free()
    stack.trading()
    stack.quiet()
    refused = refused_ids(stack, "disk full:")
    assert len(refused) >= 10
    assert not refused & seen_by_venue(stack)
    assert_exact(stack)


def test_scenario_S1_02_disk_full_during_a_snapshot(stack: Stack, disk: Disk) -> None:
    """The snapshot before stands, whole; it is caught up when there is room."""
    path = stack.data() / "positions_snapshot.json"
    eventually("a snapshot", path.exists)
    disk.fill()
    before = stack.metric("trader_snapshot_failures")
    stack.trader("hold", "POST")  # takes back resting orders: news for the snapshot
    eventually("a failed flush", lambda: stack.metric("trader_snapshot_failures") > before)
    assert durable.read_json(path, Snapshot) is not None
    assert not list(path.parent.glob(".positions_snapshot*")), "half a snapshot takes the room that is missing"
    disk.free()
    stack.quiet()
    eventually("caught up", lambda: snapshot_is(stack, stack.sql("select asset, position from positions")))


def snapshot_is(stack: Stack, positions: list[tuple[str, Any]]) -> bool:
    document = durable.read_json(stack.data() / "positions_snapshot.json", Snapshot)
    assert document is not None
    return document.positions == {asset: f"{amount:f}" for asset, amount in positions} and not document.open


def test_scenario_S1_04_the_snapshot_is_written_and_its_fsync_fails(stack: Stack) -> None:
    path = stack.data() / "positions_snapshot.json"
    eventually("a snapshot", path.exists)
    flushes = stack.metric("trader_snapshot_flushes")
    eventually("another one", lambda: stack.metric("trader_snapshot_flushes") > flushes)
    with stack.failing(TRADER, "fsync", "EIO"):
        before = path.read_bytes()
        flushes = stack.metric("trader_snapshot_flushes")
        failures = stack.metric("trader_snapshot_failures")
        eventually("a failed flush", lambda: stack.metric("trader_snapshot_failures") > failures + 1)
        assert stack.metric("trader_snapshot_flushes") == flushes, "success was reported"
        assert path.read_bytes() == before
    eventually("written again", lambda: path.read_bytes() != before)
    assert durable.read_json(path, Snapshot) is not None


def test_scenario_S1_05_the_ledger_is_written_and_its_fsync_fails(stack: Stack) -> None:
    """What is not synced is not acknowledged: the order is not sent, and its line is cut off again."""
    with stack.failing(TRADER, "fdatasync", "EIO"):
        before = stack.count("refused")
        eventually("refused orders", lambda: stack.count("refused") >= before + 4)
        assert any("[Errno 5] Input/output error" in reason for reason in stack.trader("ready")["reasons"])
        calls = len(stack.journal())
        seq = records(stack)[-1]["seq"]
        eventually("more refused orders", lambda: stack.count("refused") >= before + 8)
        posts = [line for line in stack.journal()[calls:] if line.get("method") == "POST"]
        assert posts == []
        assert records(stack)[-1]["seq"] == seq
    stack.trading()
    assert not refused_ids(stack, "ledger not writable: [Errno 5]") & seen_by_venue(stack)
    assert_exact(stack)


REWRITE = """
import sys
from pathlib import Path
from stormdesk.testnet import durable
durable.replace(Path(sys.argv[1]), b'{"half a configuration": ')
"""


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_scenario_S1_06_the_fsync_of_a_configuration_fails(stack: Stack, call: str) -> None:
    """Whoever writes it hears of it, and a service that starts then loads the old one."""
    path = stack.home / f"{TRADER}.json"
    before = path.read_bytes()
    words = [*stack.injecting(call, "ENOSPC"), "-o", "/dev/null", sys.executable, "-c", REWRITE, str(path)]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert path.read_bytes() == before
    assert not list(stack.home.glob(".*.new"))
    stack.kill(TRADER, signal.SIGTERM)
    stack.again(TRADER)
    stack.trading()


def test_scenario_S1_10_a_line_is_not_json_any_more(stack: Stack) -> None:
    """Put aside and counted; the good lines are kept and the chain goes on."""

    def overwrite(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if b'"CANCEL"' in line)
        lines[at] = b"#" * (len(lines[at]) - 1) + b"\n"
        return b"".join(lines)

    good = len(records(stack))
    left = restart_with(stack, overwrite)
    assert stack.metric("trader_ledger_corrupt_lines_total") == 1
    (entry,) = (stack.data() / "ledger.quarantine").read_text().splitlines()
    assert json.loads(entry)["offset"] == left.index(b"####")
    assert stack.ledger_path().read_bytes().startswith(left), "evidence was rewritten"
    found, reading = chain.read(stack.ledger_path().read_bytes())
    assert len(found) >= good - 1
    assert (len(reading.bad), reading.breaks) == (1, [])


def test_scenario_S1_11_the_ledger_ends_in_half_a_line(stack: Stack) -> None:
    """The tail is cut with a warning; fills that went with it are noted again."""
    stack.quiet()
    lost: list[int] = []

    def tear(data: bytes) -> bytes:
        start = data.rindex(b'{"v":1', 0, data.rindex(b'"kind":"FILL"') + 1)
        lost.append(json.loads(data[start:].partition(b"\n")[0])["trade_id"])
        return data[: start + 60]

    left = restart_with(stack, tear)
    assert re.search(r"cutting a torn tail of 60 bytes", stack.said())
    stack.quiet()
    data = stack.ledger_path().read_bytes()
    assert data.startswith(left)
    assert [r["trade_id"] for r in chain.read(data[len(left) :])[0] if r["kind"] == "FILL"].count(lost[0]) == 1
    intents = {r["client_order_id"] for r in records(stack) if r["kind"] == "INTENT"}
    booked = {trade for trade, cid in stack.sql("select trade_id, client_order_id from fills") if cid in intents}
    assert booked == {r["trade_id"] for r in records(stack) if r["kind"] == "FILL"}


def test_scenario_S1_12_the_ledger_has_empty_lines(stack: Stack) -> None:
    """Added while it runs and while it does not: no error either way."""
    with stack.ledger_path().open("ab") as other:
        other.write(b"\n\n")
    stack.trading(more=3)
    restart_with(stack, lambda data: data + b"\n\n")
    stack.trading(more=3)
    _, reading = chain.read(stack.ledger_path().read_bytes())
    assert (reading.breaks, reading.torn) == ([], b"")
    assert len(reading.bad) == stack.metric("trader_ledger_corrupt_lines_total") <= 1  # of S1-10


def test_scenario_S1_13_the_ledger_has_a_line_of_a_later_version(stack: Stack) -> None:
    """Preserved untouched, followed by our lines, and read as nothing that it may not be."""
    later: list[bytes] = []

    def append(data: bytes) -> bytes:
        last = chain.read(data)[0][-1]
        line = {"v": 2, "seq": last["seq"] + 1, "kind": "INTENT", "client_order_id": 7, "prev": last["h"], "legs": [{}]}
        later.append(chain.encode({**line, "h": chain.digest(line)}))
        return data + later[0]

    left = restart_with(stack, append)
    stack.trading(more=3)
    assert stack.ledger_path().read_bytes().startswith(left)
    assert left.endswith(later[0])
    assert "1 lines of a later version are kept as they are" in stack.said()
    assert not chain.read(stack.ledger_path().read_bytes())[1].breaks


@pytest.mark.parametrize("how", ["removed", "moved and brought back", "unmounted"])
def test_scenario_S1_14_the_folder_disappears(stack: Stack, disk: Disk, how: str) -> None:
    """Orders are refused with the reason and nothing reaches the venue; the ledger comes back whole, on its own disk."""
    if how == "unmounted" and not disk.loop:
        cannot("it has no loop devices, and a tmpfs is gone when it is unmounted")
    stack.trading(more=3)
    data, away = str(disk.mounted / "data"), str(disk.mounted / "away")
    before = stack.ledger_path().read_bytes()
    device = disk.run("findmnt", "-n", "-o", "SOURCE", str(disk.mounted)).strip()
    remove = {
        "removed": ("rm", "-rf", data),
        "moved and brought back": ("mv", data, away),
        "unmounted": ("umount", "-l", str(disk.mounted)),
    }
    disk.run(*remove[how])
    refused = stack.count("refused")
    eventually("refused orders", lambda: stack.count("refused") >= refused + 4)
    accepted = stack.count("accepted")
    eventually("said by /ready", lambda: any("Ledger" in reason for reason in stack.trader("ready")["reasons"]))
    assert "Ledger" in stack.trader("health")["failing_components"]
    eventually("more refused orders", lambda: stack.count("refused") >= refused + 8)
    assert stack.count("accepted") == accepted
    if how == "unmounted":
        eventually("nothing made elsewhere", lambda: "is not mounted" in stack.trader("ready")["reasons"][-1], 30)
        disk.run("mount", "-n", "-t", "ext4", device, str(disk.mounted))
    elif how != "removed":
        disk.run("sh", "-c", f'test -e "{data}" && cp -a "{data}/." "{away}/" && rm -r "{data}"; mv "{away}" "{data}"')
    stack.trading(deadline_s=60)
    after = stack.ledger_path().read_bytes()
    assert after.startswith(before)
    _, reading = chain.read(after)
    assert (reading.breaks, reading.torn) == ([], b"")
    assert not refused_ids(stack, "ledger not writable: [Errno 2]") & seen_by_venue(stack)


def test_scenario_S1_15_bytes_of_the_ledger_are_other_bytes(stack: Stack) -> None:
    """Seeded flips: the hash chain names each line, and so does I-05."""
    random = Random(15)
    stack.quiet()
    hit: set[int] = set()

    def flip(data: bytes) -> bytes:
        damaged = bytearray(data)
        starts = [match.start() for match in re.finditer(rb'{"v":1', data)]
        for start in random.sample(starts[1:-1], 5):
            damaged[start + random.randrange(5, 200)] ^= 1 << random.randrange(7)
            hit.add(start)
        return bytes(damaged)

    before = stack.metric("trader_ledger_corrupt_lines_total")
    left = restart_with(stack, flip)
    _, reading = chain.read(left)
    named = {bad.offset for bad in reading.bad}
    assert hit <= named
    assert stack.metric("trader_ledger_corrupt_lines_total") == before + len(hit)
    stack.quiet()
    assert JUDGES["I-05"](read_cut(stack, TRADER)).verdict is Verdict.HELD, "put aside, each of them"
    (stack.data() / "ledger.quarantine").unlink()
    assert JUDGES["I-05"](read_cut(stack, TRADER)).verdict is Verdict.VIOLATED
