"""Evidence from another host that a fault is active: the command to run there, how to read its output, and how to judge it against
its baseline. Pure; a kind that is not in `KINDS` does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.witness.damaged import Damaged
from stormdesk.witness.evidence import Witness
from stormdesk.witness.lost import Lost
from stormdesk.witness.out_of_order import OutOfOrder
from stormdesk.witness.rate import Rate
from stormdesk.witness.round_trip import RoundTrip
from stormdesk.witness.seen_twice import SeenTwice
from stormdesk.witness.unreachable import Unreachable

KINDS: Mapping[str, Witness] = {
    "damaged": Damaged(),
    "lost": Lost(),
    "out-of-order": OutOfOrder(),
    "rate": Rate(),
    "round-trip": RoundTrip(),
    "seen-twice": SeenTwice(),
    "unreachable": Unreachable(),
}
