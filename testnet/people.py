"""Who may open a gate again: a person who gives a name, not one of our services. Pure."""

from __future__ import annotations

SERVICES = frozenset({"trader", "trader-a", "trader-b", "guard", "orchestrator", "feeder", "prober", "venue"})


class NotAPersonError(ValueError):
    """The message says what is wrong with `by`."""


def person(by: str) -> str:
    """The name, stripped. Raises NotAPersonError."""
    name = by.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise NotAPersonError("by: the name of the person who answers for this is missing")
    if name.lower() in SERVICES:
        raise NotAPersonError(f"by: {name} is a service; only a person may do this")
    return name
