"""The way to a host, looked at again once the fault is in. A fault that is not to cut our SSH must let new connections through:
the one that is open proves nothing, since rules often spare what lives."""

from __future__ import annotations

from stormdesk.core.errors import ConnectFailed, HostError, TransportError
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Events
from stormdesk.ssh.pool import Pool

WITHIN_S = 1.5  # of the answer that the fault is in, so that the revert begins within 2 s


def look(host: HostRun, pool: Pool, record: Events) -> None:
    """Open a new connection to the host. Raises HostError when none gets through: then the fault must end at once."""
    if host.plan.control.cuts:
        return
    try:
        took_s = pool.answered(host.host, WITHIN_S)
    except ConnectFailed as error:
        record.event("control.lost", host=host.host, why=str(error))
        raise HostError(
            f"{host.host}: no new SSH connection gets through since the fault is in ({error}); {_who_reverts(host, pool)}"
        ) from error
    record.event("control.open", host=host.host, took_ms=round(1000 * took_s))


def _who_reverts(host: HostRun, pool: Pool) -> str:
    try:
        pool.run(host.host, ("true",), WITHIN_S)
    except TransportError:
        return f"the one that was open is lost too, so the host's watchdog reverts it, within {host.left_s():.0f} s"
    return "it is reverted early, over the one that is open"
