"""Evidence that a fault is in, seen from another host: how to read what a command prints there, and how to judge it against what
it printed before the fault. Pure; an entry of `KINDS` that is not there does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.witness.evidence import Witness
from stormdesk.witness.rate import Rate
from stormdesk.witness.unreachable import Unreachable

KINDS: Mapping[str, Witness] = {"rate": Rate(), "unreachable": Unreachable()}
