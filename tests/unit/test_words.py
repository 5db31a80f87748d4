"""Values that are words: either case is taken, and a refusal lists what is allowed. Damage is drawn from its seed alone."""

from __future__ import annotations

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.core.words import CallError, Calls, Damage, FileMode, Word
from stormdesk.mechanism.damage import words


@pytest.mark.parametrize(
    ("kind", "typed", "word"), [(Calls, "SYNC", "sync"), (CallError, "enospc", "ENOSPC"), (Damage, "torn", "torn")]
)
def test_a_word_is_taken_in_either_case(kind: type[Word], typed: str, word: str) -> None:
    assert kind(typed) == word
    assert str(kind(typed)) == word


@pytest.mark.parametrize("kind", [Calls, CallError, Damage])
def test_another_word_is_refused_with_those_that_are_known(kind: type[Word]) -> None:
    with pytest.raises(UsageError, match=f"nonsense: must be one of .*{kind.EXAMPLE}"):
        kind("nonsense")
    assert kind(kind.EXAMPLE) in kind.WORDS


def test_a_mode_has_three_digits_and_says_what_it_takes() -> None:
    assert [str(FileMode(text)) for text in ("640", "0640", "000")] == ["640", "640", "000"]
    assert (FileMode("440").reads_nothing, FileMode("440").writes_nothing) == (False, True)
    assert (FileMode("222").reads_nothing, FileMode("222").writes_nothing) == (True, False)
    for text in ("", "8", "64", "6400", "rw-", "1640"):
        with pytest.raises(UsageError, match="three octal digits"):
            FileMode(text)


def test_the_same_number_gives_the_same_damage() -> None:
    assert words("flip", 5, 7, 1000) == words("flip", 5, 7, 1000) != words("flip", 5, 8, 1000)
    places = [word.split(":") for word in words("flip", 16, 3, 1000)[1:]]
    assert all(0 <= int(at) < 1000 and int(bit) in {1 << shift for shift in range(8)} for at, bit in places)
    assert words("garbage", 2, 7, 0)[1].count("\n") == 2
    assert words("empty", 3, 7, 0) == ("add", "\n\n\n")
    assert words("cut", 9, 7, 100) == ("cut", "9")


def test_no_line_of_garbage_can_end_the_document_that_carries_it() -> None:
    assert not any(line.startswith("@") for seed in range(300) for line in words("garbage", 4, seed, 0)[1].splitlines())
