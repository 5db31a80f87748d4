"""Drift of an environment from its declaration, and its repair, by the engine that created it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stormdesk.infra import engine, environment, existing, home
from stormdesk.infra.backends.lab import parts

Say = Callable[[str], None]


def find(name: str | None, mend: bool, say: Say) -> Mapping[str, Sequence[str]]:
    """The differences from the declaration: {part: [differences]}; with `mend`, those left after the repair."""
    environment.reap_expired(say)
    name = existing.load(name).environment
    record = home.read_record(name)
    # The state of a `pulumi up` is elsewhere, so the lab itself is examined.
    through = record is not None and record.engine == "pulumi"
    found = _differences(name, through, say)
    if found and mend:
        for part, differences in found.items():
            say(f"{part}: {'; '.join(differences)}")
        engine.run("up", name, engine.UP_S, say) if through else parts.mend(name, found)
        found = _differences(name, through, say)
    return found


def _differences(name: str, through_pulumi: bool, say: Say) -> Mapping[str, Sequence[str]]:
    if not through_pulumi:
        return parts.drift_of(name)
    found: Mapping[str, Sequence[str]] = engine.run("refresh", name, engine.READ_S, say)
    return found
