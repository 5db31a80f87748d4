"""The faults of the venue: an explicit registry. A fault that is not in this dict does not exist.

`parameter_types model active_faults refusals answers messages executions` are pure; `rest_acts venue_acts control` do the
I/O.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from stormdesk.core.errors import UsageError
from stormdesk.core.values import printable
from stormdesk.testnet.venue.faults.answers import (
    Delay,
    DropResponse,
    DuplicateConfirmation,
    PartialResponse,
    StalePositions,
)
from stormdesk.testnet.venue.faults.executions import ExternalOrder, PartialFill, Rollback
from stormdesk.testnet.venue.faults.messages import (
    BadQuotes,
    DuplicateReport,
    ListenKeyExpiry,
    Persona,
    RefuseStreams,
    SkipDepth,
    StaleData,
    TokenExpiry,
)
from stormdesk.testnet.venue.faults.model import Fault
from stormdesk.testnet.venue.faults.refusals import Ban, CancelOnly, ClockOffset, Error5xx, Freeze, QueryLag, RateLimit

FAULTS: Mapping[str, type[Fault]] = {
    "drop-response": DropResponse,
    "delay": Delay,
    "error-5xx": Error5xx,
    "rate-limit": RateLimit,
    "ban": Ban,
    "partial-fill": PartialFill,
    "duplicate-report": DuplicateReport,
    "duplicate-confirmation": DuplicateConfirmation,
    "stale-positions": StalePositions,
    "query-lag": QueryLag,
    "stale-data": StaleData,
    "bad-quotes": BadQuotes,
    "skip-depth": SkipDepth,
    "refuse-streams": RefuseStreams,
    "listen-key-expiry": ListenKeyExpiry,
    "token-expiry": TokenExpiry,
    "clock-offset": ClockOffset,
    "freeze": Freeze,
    "cancel-only": CancelOnly,
    "rollback": Rollback,
    "external-order": ExternalOrder,
    "partial-response": PartialResponse,
    "persona": Persona,
}


def parameters(fault: Fault) -> dict[str, str]:
    """A fault's parameters as one would type them."""
    return {f.name: str(getattr(fault, f.name)) for f in dataclasses.fields(fault)}  # type: ignore[arg-type]


def make(name: str, params: Mapping[str, Any]) -> Fault:
    """The fault with that name and these parameters. Raises UsageError."""
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, 1)
        hint = f"Did you mean: {near[0]}?" if near else f"There is: {', '.join(FAULTS)}"
        raise UsageError(f"no fault '{printable(name)}'. {hint}")
    fields = {f.name: f for f in dataclasses.fields(FAULTS[name])}  # type: ignore[arg-type]
    if unknown := [key for key in params if key not in fields]:
        raise UsageError(f"{name}: no parameter '{printable(unknown[0])}'. There is: {', '.join(fields) or 'none'}")
    values: dict[str, Any] = {key: _kind(fields[key])(str(value)) for key, value in params.items()}
    return FAULTS[name](**values)


def _kind(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """The parser of a parameter: the type of its default."""
    return type(field.default)
