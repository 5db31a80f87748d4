"""What a host's own record says of S2 to S5, as events of the run's record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormdesk.core.states import State

if TYPE_CHECKING:
    from stormdesk.run.hostrun import HostRun


def armed(host: HostRun) -> None:
    """S2 and S3."""
    assert host.host_record is not None
    values = {key: host.host_record.value(key) for key in ("deadline", "a", "b", "oom")}
    if host.host_record.at(State.ARMED):
        deadline_s = int(values["deadline"]) / 100
        host.record.event(
            "S2.armed", host=host.host, host_t=host.at(State.ARMED), deadline_uptime=deadline_s, oom=values["oom"]
        )
    if host.host_record.at(State.ACKED):
        watchdogs = [values["a"], values["b"]]
        host.record.event("S3.acknowledged", host=host.host, host_t=host.at(State.ACKED), watchdogs=watchdogs)


def injected(host: HostRun) -> None:
    """S4 and S5."""
    assert host.host_record is not None
    if host.host_record.at(State.INJECTED):
        host.record.event(
            "S4.injected",
            host=host.host,
            host_t=host.at(State.INJECTED),
            mechanism=host.plan.change.mechanism,
            injected_t=host.injected_t,
        )
    if confirmed := host.host_record.at(State.CONFIRMED):
        host.record.event("S5.confirmed", host=host.host, host_t=host.at(State.CONFIRMED), witness=confirmed.text)
