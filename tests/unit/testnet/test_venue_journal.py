"""The venue's journal: whole lines, numbers without gaps, readable from any of them."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec
import pytest

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.journal import STRIDE, Journal, JournalError


def request(number: int) -> events.Request:
    return events.Request(t=float(number), method="POST", client_order_id=f"c{number}", account="desk", remote="::1")


def seqs(chunks: list[bytes]) -> list[int]:
    return [msgspec.json.decode(line)["seq"] for line in b"".join(chunks).splitlines()]


def test_since_gives_every_line_after_that_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    total = 3 * STRIDE + 7
    for start in range(0, total, 10):
        journal.append([request(n) for n in range(start, min(start + 10, total))])
    for since in (0, 1, STRIDE - 1, STRIDE, STRIDE + 1, 2 * STRIDE, total - 1, total, total + 5):
        assert seqs(list(journal.since(since))) == list(range(since + 1, total + 1))
    journal.close()
    again = Journal(tmp_path / "journal.jsonl")
    assert seqs(list(again.since(STRIDE))) == list(range(STRIDE + 1, total + 1))
    again.close()


def test_truncated_at_any_byte_it_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append([request(n) for n in range(3)])
    journal.close()
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        journal = Journal(path)
        assert len(journal.lines) == data[:size].count(b"\n")
        journal.append([request(9)])
        assert seqs(list(journal.since(0))) == list(range(1, len(journal.lines) + 2))
        journal.close()


def test_a_missing_line_is_not_accepted(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append([request(n) for n in range(3)])
    journal.close()
    one, _, three = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(one + three)
    with pytest.raises(JournalError, match="line 2 carries seq 3"):
        Journal(path)


def test_without_room_the_venue_ends_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append([request(1)])
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 30, hard))
    try:
        with pytest.raises(JournalError, match="the disk is full"):
            journal.append([request(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.close()
    assert path.read_bytes() == before
