"""Bad lines of a ledger, copied to a second file. The ledger itself is evidence and stays unchanged."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from stormdesk.testnet.ledger.chain import Bad

log = logging.getLogger(__name__)


def put_aside(path: Path, bad: Iterable[Bad]) -> None:
    """Add each line to the file, durably and once, with its offset and why it is bad. Raises OSError."""
    with path.open("a+b") as out:
        out.seek(0)
        known = out.read()
        whole = set(known.splitlines())
        if known and not known.endswith(b"\n"):  # a writer was killed
            out.write(b"\n")
        for line in bad:
            log.error("ledger: bad line at offset %d: %s", line.offset, line.why)
            raw = base64.b64encode(line.raw).decode()
            entry = msgspec.json.encode({"offset": line.offset, "why": line.why, "raw": raw})
            if entry not in whole:
                out.write(entry + b"\n")
        out.flush()
        os.fdatasync(out.fileno())
