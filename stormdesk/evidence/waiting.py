"""What a run waited for before it injected, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stormdesk.core.journal import Event


def waited_for(events: Sequence[Event]) -> str:
    """When the event came, and whether the fault was in while it was held."""

    def last(name: str) -> Event:
        return next((event for event in reversed(events) if event["event"] == name), {})

    asked, come, over = (last(f"breakpoint.{name}") for name in ("set", "come", "over"))
    if not asked:
        return ""
    start = f"{asked['at']} on {asked['host']}"
    if not come:
        return f"{start}: it did not come within {asked['within_s']:g} s"
    start += f": it came {come['waited_s']:.1f} s after it was set ({come['evidence']})"
    if not over:
        return f"{start}; the record does not say whether the fault was in while it was held"
    when = "while it was held" if over["held"] else "not while it was held"
    return f"{start}; the fault was in {when}, for {over['held_s']:.2f} s ({over['evidence']})"
