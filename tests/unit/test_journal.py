"""The run record: whatever happens to its bytes, a reader gets the events, fewer of them, or a named error (T7)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.core import journal
from stormdesk.core.errors import UsageError

EVENTS = [
    {"seq": 1, "t": 1764000000.123, "run": "r-1", "event": "run.started", "argv": ["invoke", "é\u202e\n'\""]},
    {"seq": 2, "t": 1764000001.5, "run": "r-1", "event": "S1.intent", "host": "trader-a", "ttl_s": 35.0},
    {"seq": 3, "t": 1764000002.0, "run": "r-1", "event": "sample", "metrics": None, "nested": {"a": [1, {"b": 2}]}},
]
DATA = b"".join(journal.encode(event) for event in EVENTS)
PREFIXES = [EVENTS[:count] for count in range(len(EVENTS) + 1)]


def test_what_is_written_is_read_back() -> None:
    assert journal.read(DATA, "x") == EVENTS
    assert all(line.isascii() and len(json.loads(line)["sum"]) == 8 for line in DATA.splitlines())


@settings(max_examples=200, deadline=None, database=None)
@given(
    event=st.dictionaries(
        st.text(max_size=8).filter(lambda key: key != "sum"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=5,
    )
)
def test_any_event_survives(event: dict[str, object]) -> None:
    assert journal.decode(journal.encode(event)) == event


def test_cut_off_at_any_byte_it_is_an_earlier_record() -> None:
    for length in range(len(DATA) + 1):
        assert journal.read(DATA[:length], "x") in PREFIXES


def test_with_any_bit_flipped_it_is_the_same_or_earlier_record_or_a_named_error() -> None:
    """Never a guess: no event that was not written is ever read."""
    refused = 0
    for position in range(len(DATA)):
        for bit in (0, 3, 5, 7):
            damaged = bytearray(DATA)
            damaged[position] ^= 1 << bit
            try:
                assert journal.read(bytes(damaged), "x") in PREFIXES
            except UsageError as error:
                assert "x:" in str(error)  # noqa: PT017 -- both outcomes are right
                refused += 1
    assert refused > 3 * len(DATA)


def test_lines_that_were_taken_out_or_moved_are_named() -> None:
    """All but the last ones: those may never have been written."""
    one, two, three = DATA.splitlines(keepends=True)
    assert journal.read(one + two, "x") == EVENTS[:2]
    assert journal.read(one + two + two + three, "x") == [*EVENTS[:2], *EVENTS[1:]]
    for data, where in (
        (one + three, "x:2: .*2 to 2"),
        (two + three, "x:1: .*1 to 1"),
        (one + three + two, "x:2"),
        (three, "x:1: .*1 to 2"),
    ):
        with pytest.raises(UsageError, match=f"^{where}"):
            journal.read(data, "x")


def test_a_bad_line_in_the_middle_is_named() -> None:
    lines = DATA.splitlines(keepends=True)
    with pytest.raises(UsageError, match=r"^runs/r-1/events.jsonl:2: this line was altered or damaged"):
        journal.read(lines[0] + lines[1].replace(b"trader-a", b"trader-b") + lines[2], "runs/r-1/events.jsonl")


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"1", b"null", b'{"sum": 1}', b"\xff", b"[" * 100_000, b"NaN"])
def test_other_lines_are_not_events(line: bytes) -> None:
    assert journal.decode(line) is None
