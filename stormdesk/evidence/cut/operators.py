"""The operators' log of a cut: who ordered what, docs/formats/operators-log.md. Pure."""

from __future__ import annotations

import hashlib
import re

import msgspec

from stormdesk.evidence.cut.lines import Ordered

GENESIS = "0" * 64
_SEAL = re.compile(rb',"prev":"([0-9a-f]{64})","h":"([0-9a-f]{64})"\}$')


def read(raw: bytes | None) -> tuple[tuple[Ordered, ...], str]:
    """Its lines, and why they do not count, or "". `h` is the sha256 of `prev` and the line without both."""
    if raw is None:
        return (), "operators.jsonl is missing"
    found, prev = [], GENESIS
    for number, line in enumerate(raw.splitlines(), 1):
        seal = _SEAL.search(line)
        if seal is None or seal[1].decode() != prev:
            return (), f"operators.jsonl line {number} does not follow the line before"
        body = line[: seal.start()] + b"}"
        prev = hashlib.sha256(prev.encode() + body).hexdigest()
        if seal[2].decode() != prev:
            return (), f"operators.jsonl line {number} was changed: its hash is another"
        try:
            found.append(msgspec.json.decode(body, type=Ordered))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return (), f"operators.jsonl line {number}: {error}"
    return tuple(found), ""
