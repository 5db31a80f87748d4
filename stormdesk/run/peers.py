"""Peers as witnesses: what the other side of a network sees of a fault. Each peer is asked once for all that it witnesses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.model import PeerWitness
from stormdesk.host import probe, render
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Record
from stormdesk.run.show import Show
from stormdesk.ssh.pool import Pool

ANSWER_S = 5.0  # for all that one peer is asked at once
SETTLE_S = 10.0  # how long a fault may take on a busy host until its peer sees it
MARGIN_S = 1.0  # before the hosts revert by themselves
PAUSE_S = 0.2

Seen = tuple[int | None, str]  # the exit code of the peer's command, None where it could not be asked; why


def witness(hosts: Sequence[HostRun], pool: Pool, record: Record, show: Show) -> None:
    """Let the peers of all hosts say what they see. Raises HostError when one of them still gets an answer."""
    for host in hosts:
        if host.plan.no_peer:
            record.event("witness.none", target=host.host, why=host.plan.no_peer)
            show.phase("witness", f"{host.host}: {host.plan.no_peer}")
    asked = {host.host: host.plan.peer_witness for host in hosts if host.plan.peer_witness is not None}
    still = []
    within_s = min(SETTLE_S, min(host.left_s() for host in hosts) - MARGIN_S)
    for target, (code, why) in _look(asked, pool, within_s).items():
        peer = asked[target]
        event = {"host": peer.host, "target": target, "argv": list(peer.argv), "code": code}
        if code not in (0, peer.code):  # out of reach, or its own network is broken: it cannot tell
            record.event("witness.peer", **event, why=why)
            continue
        seen = code == peer.code
        record.event("witness.peer", **event, agrees=seen)
        what = "gets no answer" if seen else "STILL GETS AN ANSWER"
        show.phase("witness", f"{peer.host} {what} ({' '.join(peer.argv)})", ok=seen)
        if not seen:
            still.append(f"{peer.host} still reaches {target}")
    if still:
        raise HostError(f"{', '.join(still)}: the fault does not bite from the other side")


def _look(asked: Mapping[str, PeerWitness], pool: Pool, within_s: float) -> dict[str, Seen]:
    """What is seen of each host; where its peer still gets an answer, it is asked again for a while."""
    seen: dict[str, Seen] = {}
    left, until = dict(asked), time.monotonic() + within_s
    while left:
        seen |= _round(left, pool)
        left = {host: peer for host, peer in left.items() if seen[host][0] == 0}
        if not left or time.monotonic() >= until:
            break
        time.sleep(PAUSE_S)
    return seen


def _round(asked: Mapping[str, PeerWitness], pool: Pool) -> dict[str, Seen]:
    """All peers at once, each for all its hosts."""
    groups: dict[str, dict[str, PeerWitness]] = {}
    for host, peer in asked.items():
        groups.setdefault(peer.host, {})[host] = peer
    seen: dict[str, Seen] = {}
    for name, answer in pool.each(groups, lambda name: _ask(pool, name, groups[name])).items():
        seen |= dict.fromkeys(groups[name], (None, str(answer))) if isinstance(answer, StormdeskError) else answer
    return seen


def _ask(pool: Pool, name: str, wanted: Mapping[str, PeerWitness]) -> dict[str, Seen]:
    done = pool.script(name, render.witnesses([peer.argv for peer in wanted.values()]), ANSWER_S)
    found = probe.witnesses(done.stdout)
    return {host: found.get(number, (None, "no answer")) for number, host in enumerate(wanted)}
