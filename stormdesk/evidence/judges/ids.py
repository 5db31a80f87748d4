"""Client order ids by the rule of docs/formats/ledger.md, implemented a second time: a check must not share the code that it
checks. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

_RULE = re.compile(r"x-([A-Za-z0-9_]{1,11})-(?:(\d{1,6})-)?([A-Z2-7]{20,22})")


@dataclass(frozen=True)
class OrderId:
    """The parts of a client order id; `epoch` is None in ids of before there were epochs in them."""

    strategy: str
    epoch: int | None
    digest: str

    def names(self, signal: str) -> bool:
        """Is it the id of that signal?"""
        return base64.b32encode(hashlib.sha256(signal.encode()).digest()).decode().startswith(self.digest)


def parse(client_order_id: str) -> OrderId | None:
    """The parts, or None for an id that is not made by the rule: somebody else's, or a planted one."""
    found = _RULE.fullmatch(client_order_id)
    return OrderId(found[1], int(found[2]) if found[2] else None, found[3]) if found else None
