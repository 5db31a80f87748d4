"""The one process that a fault is aimed at, from the answer of `sd_processes`. Pure."""

from __future__ import annotations

from stormdesk.core.errors import RefusedError
from stormdesk.host import probe


def only(answer: str, how: str, what: str, host: str) -> probe.Process:
    """The one process that was selected. Raises RefusedError when there are none or several."""
    found = probe.processes(answer)
    if len(found) == 1:
        return found[0]
    said = [f"{p.identity} {p.command[:40]}" for p in found[:4]] + list(probe.left_out(answer)[:4])
    raise RefusedError(
        f"{how} {what} selects {len(found)} processes on {host}, not one"
        f"{': ' + '; '.join(said) if said else ''}. Nothing was changed"
    )
