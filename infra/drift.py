"""What of an environment is not as declared, and bringing it back: asked of the engine that made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stormdesk.infra import engine, environment, existing, home
from stormdesk.infra.backends.lab import parts

Say = Callable[[str], None]


def find(name: str | None, mend: bool, say: Say) -> Mapping[str, Sequence[str]]:
    """What is not as declared: {part: [differences]}; with `mend`, what is left after bringing it back."""
    environment.reap_expired(say)
    name = existing.load(name).environment
    record = home.read_record(name)
    # What `pulumi up` made has its state elsewhere: as a lab, it is asked itself.
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
