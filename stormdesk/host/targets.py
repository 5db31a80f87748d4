"""The process or service that a fault is aimed at, from what the host answered. Pure."""

from __future__ import annotations

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Site
from stormdesk.core.plan import INJECT_BUDGET_S, MIN_TTL_MARGIN_S, TTL_MARGIN_S, Timing, ttl
from stormdesk.host import probe


def one_process(answer: str, how: str, what: str, site: Site) -> probe.Process:
    """The one process in the answer of `sd_processes`. Raises RefusedError when there are none or several."""
    found = probe.processes(answer)
    if len(found) == 1:
        return found[0]
    said = [f"{p.identity} {p.command[:40]}" for p in found[:4]] + list(probe.left_out(answer)[:4])
    raise RefusedError(
        f"{how} {what} selects {len(found)} processes on {site.host.name}, not one"
        f"{': ' + '; '.join(said) if said else ''}. Nothing was changed"
    )


def named_manager(service: str, site: Site) -> str:
    """The manager of the service that the inventory names, or ""."""
    return site.host.services[service].manager if service else ""


def manager_timing(
    hold_s: float, ttl_s: float | None, rto_s: float, *, managed: bool, inject_budget_s: float = INJECT_BUDGET_S
) -> Timing:
    """The manager or guard has the whole RTO, in seconds; only then do we start it. Neither controller nor watchdog may be done before."""
    heal_s = max(0.0, rto_s - hold_s) if managed else 0.0
    default = hold_s + max(TTL_MARGIN_S, heal_s + MIN_TTL_MARGIN_S)
    ttl_s = ttl(hold_s, default if ttl_s is None else ttl_s, cuts_control=False)
    return Timing(hold_s, ttl_s, inject_budget_s, undo_wait_s=heal_s)
