"""A run in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from stormdesk.evidence.story import Story

NAMED = 6  # hosts that a sentence names


def in_words(hosts: Sequence[str]) -> str:
    """Hosts by name, or only how many where a sentence has no room for all."""
    return ", ".join(hosts) if 0 < len(hosts) <= NAMED else f"{len(hosts)} hosts" if hosts else "no host"


def sentence(story: Story) -> str:
    """One sentence for people: what was done, and what it showed."""
    hold = story.start.get("hold_s")
    where = in_words(list(dict.fromkeys(host.host for host in story.hosts)))
    one = not story.schedule and isinstance(hold, int | float)
    what = f"{story.fault} on {where}" + (f" for {hold:g} s" if one else "")
    parts = []
    if story.refused is not None:
        calls = story.calls_for_refused
        named = "none" if calls == 0 else str(calls) if calls is not None else "an unknown number"
        parts.append(f"{story.refused} orders refused, {named} of them reached the venue")
    if story.recovered:
        took = story.recovered.get("took_s")
        parts.append("trading never steady again" if took is None else f"trading again after {took:.1f} s")
    if story.hosts:
        by = ", ".join(sorted({host.reverted_by for host in story.hosts if host.reverted_by}))
        parts.append(f"hosts {story.residue}" + (f", reverted by {by}" if by else ""))
    text = f"{what}: {'; '.join(parts) or 'nothing was measured'}."
    return text if story.exit_code == 0 else f"{story.why.rstrip('.')}. {text}"
