"""The ledger: acknowledged lines are present, damage is reported, the chain continues."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random

import pytest

from stormdesk.testnet.ledger import Ledger, LedgerError, chain
from tests.fuzz import ledger as fuzz

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "ledger"


def lines_of(number: int) -> bytes:
    """A ledger file of that many lines."""
    data, prev = b"", chain.GENESIS
    for seq in range(1, number + 1):
        line = chain.seal(
            {"t": 1.5 + seq, "kind": "INTENT", "client_order_id": f"x-é-{seq}", "price": "1.0"}, seq, prev
        )
        data, prev = data + chain.encode(line), line["h"]
    return data


def opened(path: Path) -> Ledger:
    ticks = count()
    return Ledger(path, lambda: 1000.0 + next(ticks), restore_s=60.0)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: the kernel writes what fits, then refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_hash_is_the_documented_one() -> None:
    line = json.loads(lines_of(1))
    body = json.dumps({k: v for k, v in line.items() if k != "h"}, sort_keys=True, separators=(",", ":"))
    assert line["h"] == hashlib.sha256(("0" * 64 + body).encode()).hexdigest()


def test_truncated_at_any_byte_every_whole_line_is_read() -> None:
    data = lines_of(6)
    for size in range(len(data) + 1):
        records, reading = chain.read(data[:size])
        assert len(records) == data[:size].count(b"\n")
        assert reading.torn == data[reading.whole : size]
        assert not reading.bad
        assert not reading.breaks


def test_any_flipped_bit_is_noticed_and_the_other_lines_are_kept() -> None:
    data, random = lines_of(5), Random(3)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << random.randrange(8)
        records, reading = chain.read(bytes(damaged))
        assert reading.bad or reading.breaks or reading.torn, f"byte {position}"
        assert len(records) >= 3


def test_removed_swapped_and_repeated_lines_are_breaks() -> None:
    one, two, three = lines_of(3).splitlines(keepends=True)
    for data in (one + three, two + one + three, one + two + two + three, two + three):
        assert chain.read(data)[1].breaks


def test_empty_lines_are_accepted_and_a_later_version_is_kept() -> None:
    records, reading = chain.read(lines_of(2).replace(b"\n", b"\n\n \n"))
    assert (len(records), reading.bad, reading.breaks) == (2, [], [])
    future = {"v": 9, "seq": 1, "kind": "NEWS", "prev": chain.GENESIS}
    records, reading = chain.read(json.dumps({**future, "h": chain.digest(future)}).encode() + b"\n")
    assert [record["v"] for record in records] == [9]
    assert (reading.later, reading.bad, reading.breaks) == (1, [], [])


def test_opening_cuts_a_torn_tail_and_goes_on_with_the_chain(tmp_path: Path) -> None:
    data = lines_of(3)
    path = tmp_path / "ledger.jsonl"
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])

        async def scenario() -> None:
            ledger = opened(path)
            await ledger.append("INTENT", "x-new")
            ledger.close()

        asyncio.run(scenario())
        records, reading = chain.read(path.read_bytes())
        assert records[-1]["client_order_id"] == "x-new"
        assert (reading.bad, reading.breaks, reading.torn) == ([], [], b"")


def test_bad_lines_are_quarantined_once_and_stay_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    one, two, three = lines_of(3).splitlines(keepends=True)
    damaged = one + two.replace(b"1.0", b"9.0") + three
    path.write_bytes(damaged)
    for _ in range(2):
        ledger = opened(path)
        assert ledger.corrupt == 1
        ledger.close()
    assert path.read_bytes() == damaged
    (kept,) = (tmp_path / "ledger.quarantine").read_text().splitlines()
    record = json.loads(kept)
    assert base64.b64decode(record["raw"]) + b"\n" == two.replace(b"1.0", b"9.0")
    assert record["offset"] == len(one)
    assert "hash" in record["why"]


def test_scenario_S1_10_a_bad_line_that_comes_while_it_runs_is_counted_and_stays_counted_when_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(lines_of(2))

    async def scenario() -> None:
        ledger = opened(path)
        assert ledger.worst == 0
        with path.open("ab") as other:
            other.write(b"~garbage\n")
        await ledger.append("INTENT", "x-a")
        assert (ledger.corrupt, ledger.worst) == (1, 1)
        path.write_bytes(path.read_bytes().replace(b"~garbage\n", b""))
        await ledger.append("INTENT", "x-b")
        assert (ledger.corrupt, ledger.worst) == (0, 1)
        ledger.close()

    asyncio.run(scenario())
    assert [r["client_order_id"] for r in chain.read(path.read_bytes())[0]][-2:] == ["x-a", "x-b"]


def test_a_line_without_room_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    async def scenario() -> None:
        ledger = opened(path)
        await ledger.append("INTENT", "x-1")
        before = path.read_bytes()
        with room_for(len(before) + 40):  # the kernel takes 40 bytes of the line: they must be cut off again
            with pytest.raises(LedgerError, match=r"^disk full: \[Errno 28\] No space left on device: .*ledger.jsonl$"):
                await ledger.append("INTENT", "x-2")
            assert path.read_bytes() == before
            assert ledger.error.startswith("disk full")
        await ledger.append("INTENT", "x-3")
        assert ledger.error == ""
        ledger.close()

    asyncio.run(scenario())
    assert [record["client_order_id"] for record in chain.read(path.read_bytes())[0]] == ["x-1", "x-3"]


def test_a_line_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order matters: the whole line is written, then the file is synced, then the caller goes on."""
    path = tmp_path / "ledger.jsonl"
    synced: list[int] = []
    really = os.fdatasync

    def watched(fd: int) -> None:
        really(fd)
        synced.append(os.fstat(fd).st_size)

    async def scenario() -> None:
        ledger = opened(path)
        monkeypatch.setattr(os, "fdatasync", watched)
        for number in range(3):
            await ledger.append("INTENT", f"x-{number}")
            assert synced[-1:] == [path.stat().st_size]
            assert len(synced) == number + 1
        ledger.close()

    asyncio.run(scenario())


def test_notes_wait_for_room_in_order_and_intents_come_after_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    async def scenario() -> None:
        ledger = opened(path)
        keeper = asyncio.create_task(ledger.keep())
        await ledger.append("INTENT", "x-1")
        with room_for(path.stat().st_size):
            ledger.note("ACK", "x-1", order_id=5)
            ledger.note("DONE", "x-1", state="FILLED")
            assert not await ledger.flush()
            with pytest.raises(LedgerError):
                await ledger.append("INTENT", "x-2")
            assert ledger.buffered == 2
        await ledger.append("INTENT", "x-3")
        assert ledger.buffered == 0
        keeper.cancel()
        ledger.close()

    asyncio.run(scenario())
    records, reading = chain.read(path.read_bytes())
    assert [record["kind"] for record in records] == ["INTENT", "ACK", "DONE", "INTENT"]
    assert not reading.breaks


def test_a_ledger_that_was_moved_away_takes_no_line_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ledger.jsonl"

    async def scenario() -> None:
        ledger = opened(path)
        await ledger.append("INTENT", "x-1")
        path.parent.rename(tmp_path / "elsewhere")
        for _ in range(2):
            with pytest.raises(LedgerError, match="moved away or removed"):
                await ledger.append("INTENT", "x-2")
        path.parent.mkdir()
        path.write_bytes(b"")
        with pytest.raises(LedgerError, match="replaced by another file"):
            await ledger.append("INTENT", "x-3")
        path.unlink()
        path.parent.rmdir()
        (tmp_path / "elsewhere").rename(path.parent)
        await ledger.append("INTENT", "x-4")
        ledger.close()

    asyncio.run(scenario())
    assert [record["client_order_id"] for record in chain.read(path.read_bytes())[0]] == ["x-1", "x-4"]


def test_a_ledger_that_is_gone_is_made_again_from_the_open_file(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ledger.jsonl"

    async def scenario() -> None:
        ledger = Ledger(path, lambda: 1000.0, restore_s=0.2)
        keeper = asyncio.create_task(ledger.keep())
        await ledger.append("INTENT", "x-1")
        shutil.rmtree(path.parent)
        with pytest.raises(LedgerError, match="moved away or removed"):
            await ledger.append("INTENT", "x-2")
        async with asyncio.timeout(10):
            while ledger.error:
                await asyncio.sleep(0.05)
        await ledger.append("INTENT", "x-3")
        twin = path.read_bytes()
        path.unlink()
        path.write_bytes(twin)  # from a backup
        await ledger.append("INTENT", "x-4")
        keeper.cancel()
        ledger.close()

    asyncio.run(scenario())
    records, reading = chain.read(path.read_bytes())
    assert [record["client_order_id"] for record in records] == ["x-1", "x-3", "x-4"]
    assert (reading.bad, reading.breaks) == ([], [])


@pytest.mark.parametrize("extra", [b"\n\n", b"\n \n", b'{"torn": ', b"not a line\n"])
def test_what_somebody_else_wrote_is_read_before_the_next_line(tmp_path: Path, extra: bytes) -> None:
    path = tmp_path / "ledger.jsonl"

    async def scenario() -> None:
        ledger = opened(path)
        await ledger.append("INTENT", "x-1")
        with path.open("ab") as other:
            other.write(extra)
        await ledger.append("INTENT", "x-2")
        ledger.close()

    asyncio.run(scenario())
    records, reading = chain.read(path.read_bytes())
    assert [record["client_order_id"] for record in records] == ["x-1", "x-2"]
    assert len(reading.bad) == (extra == b"not a line\n")
    assert not reading.breaks


def test_a_refused_line_that_could_not_be_cut_off_is_cut_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"

    def broken(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def scenario() -> None:
        ledger = opened(path)
        await ledger.append("INTENT", "x-1")
        with monkeypatch.context() as disk:
            disk.setattr(os, "fdatasync", broken)
            disk.setattr(os, "ftruncate", broken)
            for _ in range(2):
                with pytest.raises(LedgerError, match="Input/output error"):
                    await ledger.append("INTENT", "x-2")
        assert path.read_bytes().count(b"\n") == 2
        await ledger.append("INTENT", "x-3")
        ledger.close()

    asyncio.run(scenario())
    records, reading = chain.read(path.read_bytes())
    assert [record["client_order_id"] for record in records] == ["x-1", "x-3"]
    assert not reading.breaks


def test_a_line_that_was_not_synced_is_refused_and_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.jsonl"

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def scenario() -> None:
        ledger = opened(path)
        await ledger.append("INTENT", "x-1")
        before = path.read_bytes()
        with monkeypatch.context() as disk:
            disk.setattr(os, "fdatasync", broken)
            with pytest.raises(LedgerError, match=r"^ledger not writable: \[Errno 5\] Input/output error"):
                await ledger.append("INTENT", "x-2")
        assert path.read_bytes() == before
        await ledger.append("INTENT", "x-3")
        ledger.close()

    asyncio.run(scenario())
    assert not chain.read(path.read_bytes())[1].breaks


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"seq": 1}',
        b'{"v": 1, "seq": true, "prev": "", "h": ""}',
        b'{"v": 1, "seq": 1, "prev": 5, "h": ""}',
        b'{"v": 1, "seq": 1, "prev": "", "h": "", "x": ' + b"9" * 5000 + b"}",
        b'{"v": 1, "seq": 1, "prev": "\xed\xa0\x80", "h": ""}',
        b'{"v": 1, "seq": 1, "prev": "\\ud800", "h": ""}',
        b'{"v": 1, "seq": 1, "prev": "", "h": "", "x": 1e999}',
        b'{"v": 1, "seq": 1, "prev": "", "h": "", "x": ' + b'{"y":' * 900 + b"1" + b"}" * 901,
    ],
    ids=[
        "deep",
        "no hash",
        "seq true",
        "prev 5",
        "huge number",
        "surrogate",
        "escaped surrogate",
        "infinite",
        "deep x",
    ],
)
def test_strange_lines_are_bad_and_never_an_exception(raw: bytes) -> None:
    assert isinstance(chain.judge(raw), str)


@pytest.mark.parametrize("line", [{"v": 1, "seq": 1}, {"v": 1, "seq": 1, "prev": 5}, {"seq": 1, "prev": ""}])
def test_a_line_whose_hash_matches_and_that_lacks_something_is_bad(line: chain.Record) -> None:
    records, reading = chain.read(chain.encode({**line, "h": chain.digest(line)}) + lines_of(1))
    assert [record["kind"] for record in records] == ["INTENT"]
    assert [bad.why for bad in reading.bad] == ["not a ledger line"]


def test_a_killed_or_refused_writer_of_the_quarantine_does_not_stop_the_start(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"bad\n" + lines_of(1))
    aside = tmp_path / "ledger.quarantine"
    for _ in range(2):
        with room_for(10), pytest.raises(LedgerError, match="ledger not writable"):
            opened(path)
    opened(path).close()
    aside.write_bytes(aside.read_bytes()[:-9])
    opened(path).close()
    assert json.loads(aside.read_bytes().splitlines()[-1]) == {
        "offset": 0,
        "why": "not JSON: JSON is malformed: invalid character (byte 0)",
        "raw": base64.b64encode(b"bad").decode(),
    }


def test_a_ledger_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = opened(path)
    with pytest.raises(LedgerError, match="ledger not writable"):
        opened(path)
    first.close()
    opened(path).close()


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_fuzzers_corpus(path: Path) -> None:
    fuzz.check(path.read_bytes())
