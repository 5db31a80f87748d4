"""Seeded changes of bytes: the same seed gives the same inputs. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

MOST = 20_000  # bytes of an input
VALUE = re.compile(rb"""(?:=|: ?)("[^"]*"|[^&\s"{}\[\],]*)""")  # of a query, or in JSON
NUMBERS = (
    *(b"0", b"-1", b"1e999", b"NaN", b"Infinity", b"99999999999999999999", b"9223372036854775807", b"1" * 5000),
    *(b"0.000000001", b"1.", b".5", b".", b"1_0", b"\xd9\xa1", b"%d9%a1", b"0x1"),
)
TOKENS = (
    *NUMBERS,
    *(b"", b" ", b"\n", b"\x00", b"\r\n", b"\xe2\x80\xae", b"null", b"true", b"{}"),
    *(
        b"&",
        b"=",
        b"?",
        b"%",
        b"%00",
        b"%ff",
        b"%ed%a0%80",
        b"+",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc3\xa9",
        b"\\ud800",
    ),
    *(b"{", b"}", b"[", b"]", b"[" * 2000, b'"', b":", b",", b'{"a":' * 500),
)


def mutated(corpus: Sequence[bytes], random: Random) -> bytes:
    """One input of the corpus, or one line of it, with one to eight changes."""
    data = random.choice(corpus)
    if random.random() < 0.5:
        data = random.choice(data.split(b"\n"))
    for _ in range(random.randint(1, 8)):
        data = random.choice(CHANGES)(data, corpus, random)[:MOST]
    return data


def _value(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    """Another value for one parameter: what is odd, or what stands somewhere else."""
    values = list(VALUE.finditer(data))
    if not values:
        return data
    found, others = random.choice(values), VALUE.findall(random.choice(corpus))
    start, end = found.span(1)
    odd = NUMBERS if found[1].strip(b'"').replace(b".", b"").isdigit() and random.random() < 0.7 else TOKENS
    return (
        data[:start] + (random.choice(others) if others and random.random() < 0.2 else random.choice(odd)) + data[end:]
    )


def _flip(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _insert(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(TOKENS) + data[at:]


def _replace(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + random.choice(TOKENS) + data[end:]


def _remove(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.randint(1, 3) + data[end:]


def _splice(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(corpus)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _line_of_another(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    lines, others = data.split(b"\n"), random.choice(corpus).split(b"\n")
    lines.insert(random.randint(0, len(lines)), random.choice(others))
    return b"\n".join(lines)


def _line_gone(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    lines = data.split(b"\n")
    del lines[random.randrange(len(lines))]
    return b"\n".join(lines)


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 2, 4, 8, 30, 200)))


CHANGES = (_value, _value, _value, _flip, _insert, _replace, _remove, _repeat, _splice, _line_of_another, _line_gone)
