"""Damage to a file, from a seed: which bits, which lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from stormdesk.core.model import Argv

MODULUS, FACTOR = 2**31 - 1, 16807  # the minimal standard generator of Park and Miller
LINE = 40  # characters of a line of garbage
FUTURE = '{"v": 999, "kind": "FUTURE"}'  # no program knows that schema yet


def words(how: str, amount: int, seed: int, size: int) -> Argv:
    """The words of the host's verb `sd_damage` for `amount` of a file of `size` bytes: bits, bytes or lines."""
    drawn = _drawn(seed)
    if how == "flip":
        places: dict[int, int] = {}
        for number in islice(drawn, amount):
            places.setdefault(number % size, 1 << number // size % 8)
        return ("flip", *(f"{at}:{bit}" for at, bit in sorted(places.items())))
    if how == "garbage":
        lines = ("".join(chr(33 + number % 94) for number in islice(drawn, LINE)) for _ in range(amount))
        return ("add", "".join(f"~{line}\n" for line in lines))
    if how in ("empty", "future"):
        return ("add", f"{FUTURE if how == 'future' else ''}\n" * amount)
    return (how, str(next(drawn) if how == "torn" else amount))


def _drawn(seed: int) -> Iterator[int]:
    number = seed % (MODULUS - 1) + 1
    while True:
        number = number * FACTOR % MODULUS
        yield number
