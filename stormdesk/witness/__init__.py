"""Evidence from another host that a fault is active: the command to run there, how to read its output, and how to judge it against
its baseline. Pure; a kind that is not in `KINDS` does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.witness.evidence import Witness
from stormdesk.witness.rate import Rate
from stormdesk.witness.unreachable import Unreachable

KINDS: Mapping[str, Witness] = {"rate": Rate(), "unreachable": Unreachable()}
