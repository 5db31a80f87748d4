"""Typed values are accepted or refused; a refusal names the value, the range and an example."""

from __future__ import annotations

import copy
import pickle

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.core.values import (
    BitRate,
    Count,
    Duration,
    Hold,
    Lifetime,
    Patience,
    Percent,
    Seed,
    Share,
    Signal,
    Size,
    Value,
    printable,
    shown,
)

TAKEN = [
    (Percent, "95", 95.0, "95"),
    (Percent, "95%", 95.0, "95"),
    (Percent, "95.5", 95.5, "95.5"),
    (Percent, 100, 100.0, "100"),
    (Patience, "2", 2.0, "2"),
    (Patience, "3.5", 3.5, "3.5"),
    (Patience, 1, 1.0, "1"),
    (Duration, "500ms", 0.5, "500ms"),
    (Duration, "30s", 30.0, "30s"),
    (Duration, "1.5m", 90.0, "90s"),
    (Duration, 30, 30.0, "30s"),
    (Lifetime, "2h", 7200.0, "2h"),
    (Size, "200MiB", 209_715_200, "200MiB"),
    (Size, "4.5KiB", 4608, "4608B"),
    (Size, 1 << 30, 1 << 30, "1GiB"),
    (BitRate, "512kbit", 512_000, "512kbit"),
    (BitRate, "1.5Mbit", 1_500_000, "1500kbit"),
    (BitRate, "10gbit", 10**10, "10Gbit"),
    (BitRate, 100_001, 100_001, "100001bit"),
    (Signal, "SIGKILL", "KILL", "KILL"),
    (Signal, "9", "KILL", "KILL"),
    (Signal, "usr1", "USR1", "USR1"),
    (Count, "10", 10, "10"),
    (Seed, "0", 0, "0"),
]

REFUSED = [
    *((Patience, text) for text in ("0", "0.99", "-2", "101", "2x", "2s", "", "nan", "inf", "1e1", "٣", "9" * 5000)),
    *((Percent, text) for text in ("0", "-1", "101", "195", "ten", "", "NaN", "1e2", "95%%", "٣", "9" * 5000)),
    *(
        (Duration, text)
        for text in ("30", "0s", "-1s", "1h", "NaN", "nans", "1e309", "1e309s", "99999999", "99999999s")
    ),
    *((Duration, text) for text in ("", "s", "30 parsecs", "1m30s", "30\ts\n", "\u202e30s", "9" * 5000 + "s")),
    *((Hold, text) for text in ("500ms", "30m")),
    *((Lifetime, text) for text in ("1s", "8000h")),
    *((Size, text) for text in ("200", "2GB", "0B", "-1MiB", "many", "", "999999999TiB")),
    *((BitRate, text) for text in ("", "1000000", "1MB", "63kbit", "101Gbit", "-1Mbit", "nanMbit", "1 000kbit")),
    *((Signal, text) for text in ("0", "65", "SIGFOO", "", "KILL;id", "-9")),
    *((Count, text) for text in ("0", "-1", "1.5", "x", "9" * 5000)),
    *((Seed, text) for text in ("-1", "4294967296")),
    *((Share, text) for text in ("0", "101")),
]


@pytest.mark.parametrize(("kind", "typed", "value", "text"), TAKEN)
def test_typed_values_are_accepted_and_printed_back(kind: type[Value], typed: str, value: object, text: str) -> None:
    got = kind(typed)  # type: ignore[call-arg]
    assert got == value
    assert str(got) == text
    assert copy.deepcopy(got) == got == pickle.loads(pickle.dumps(got))  # noqa: S301 -- our own bytes


@pytest.mark.parametrize(("kind", "typed"), REFUSED)
def test_refuses_with_the_value_the_range_and_an_example(kind: type[Value], typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind(typed)  # type: ignore[call-arg]
    message = str(caught.value)
    assert message.startswith(shown(typed)[:20])
    assert any(word in message for word in ("must be", "Did you mean"))
    assert kind.EXAMPLE in message or "Did you mean" in message
    assert message.isprintable()
    assert len(message) < 300


def test_a_number_without_a_unit_gets_the_likely_one() -> None:
    with pytest.raises(UsageError, match=r"^30: no unit\. Did you mean 30s\?"):
        Duration("30")
    with pytest.raises(UsageError, match=r"^2GB: no unit\. Did you mean 2GiB\?"):
        Size("2GB")


def test_messages_never_reorder_or_break_a_line() -> None:
    assert printable("a\nb\x00\u202ec\udc80") == "a\\nb\\x00\\u202ec\\udc80"
    assert shown("") == "''"
    assert len(shown("x" * 100_000)) < 100
