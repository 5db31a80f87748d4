"""Peers as witnesses: the fault as seen from the other side of a network. Each peer is queried once for everything that it
witnesses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.plan import PeerWitness
from stormdesk.host import probe, render
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Events
from stormdesk.run.show import Show
from stormdesk.ssh.pool import Pool
from stormdesk.witness import KINDS
from stormdesk.witness.evidence import Evidence

ANSWER_S = 5.0  # for all that one peer is asked at once
SETTLE_S = 10.0  # how long a fault may take on a busy host until its peer sees it
MARGIN_S = 1.0  # before the hosts revert by themselves
PAUSE_S = 0.2

Target = tuple[str, int]  # the host with the fault, and which of its witnesses
Answer = tuple[
    int | None, str
]  # the exit code of the peer's command, None where it could not be asked; what it said, or why


class Peers:
    """The witnesses of a run on other hosts. `look` before the fault, `agree` once it is in."""

    def __init__(self, hosts: Sequence[HostRun], pool: Pool, record: Events, show: Show) -> None:
        self._hosts = hosts
        self._pool = pool
        self._record = record
        self._show = show
        self._asked = {(host.host, number): peer for host in hosts for number, peer in enumerate(host.plan.peers)}
        self._before: dict[Target, float | None] = {}

    def look(self) -> None:
        """What the peers measure while no fault is in. Never raises: a peer that could not be asked has measured nothing."""
        for target, answer in self._round(self._asked).items():
            self._before[target] = measured = _read(self._asked[target], answer)
            peer = self._asked[target]
            self._record.event(
                "witness.baseline", host=peer.host, target=target[0], argv=list(peer.argv), measured=measured
            )

    def agree(self) -> None:
        """Let the peers of all hosts say what they see. Raises HostError when one of them sees no fault."""
        for host in self._hosts:
            if why := host.plan.control.no_peer:
                self._record.event("witness.none", target=host.host, why=why)
                self._show.phase("witness", f"{host.host}: {why}")
        found = self._until_settled()
        for target, (answer, evidence) in found.items():
            self._say(target, answer, evidence)
        if still := {target: evidence for target, (_, evidence) in found.items() if evidence.agrees is False}:
            what = ", ".join(
                f"{self._asked[target].host} of {target[0]}: {each.text}" for target, each in still.items()
            )
            raise HostError(f"{what}: the other host sees no effect of the fault")

    def _say(self, target: Target, answer: Answer, evidence: Evidence) -> None:
        peer = self._asked[target]
        event: dict[str, Any] = {"host": peer.host, "target": target[0], "argv": list(peer.argv), "code": answer[0]}
        if evidence.measured is not None:
            event |= {"measured": evidence.measured, "before": self._before.get(target)}
        if evidence.agrees is None:
            why = answer[1] if answer[0] is None else f"{evidence.text}: {answer[1]}"
            self._record.event("witness.peer", **event, why=why)
            return
        self._record.event("witness.peer", **event, agrees=evidence.agrees)
        self._show.phase("witness", f"{peer.host} {evidence.text} ({' '.join(peer.argv)})", ok=evidence.agrees)

    def _until_settled(self) -> dict[Target, tuple[Answer, Evidence]]:
        """What is seen of each host; whoever sees no fault is asked again for a while."""
        within_s = min(SETTLE_S, min(host.left_s() for host in self._hosts) - MARGIN_S)
        found: dict[Target, tuple[Answer, Evidence]] = {}
        left, until = dict(self._asked), time.monotonic() + within_s
        while left:
            for target, answer in self._round(left).items():
                peer = self._asked[target]
                judged = KINDS[peer.kind].judge(self._before.get(target), _read(peer, answer), peer.expected)
                found[target] = answer, judged
            left = {target: peer for target, peer in left.items() if found[target][1].agrees is False}
            if not left or time.monotonic() >= until:
                break
            time.sleep(PAUSE_S)
        return found

    def _round(self, asked: Mapping[Target, PeerWitness]) -> dict[Target, Answer]:
        """All peers at once, each for all its hosts."""
        groups: dict[str, dict[Target, PeerWitness]] = {}
        for target, peer in asked.items():
            groups.setdefault(peer.host, {})[target] = peer
        if not groups:
            return {}
        seen: dict[Target, Answer] = {}
        for name, answer in self._pool.each(groups, lambda name: self._ask(name, groups[name])).items():
            if isinstance(answer, StormdeskError):
                seen |= dict.fromkeys(groups[name], (None, str(answer)))
            else:
                seen |= answer
        return seen

    def _ask(self, name: str, wanted: Mapping[Target, PeerWitness]) -> dict[Target, Answer]:
        done = self._pool.script(name, render.witnesses([peer.argv for peer in wanted.values()]), ANSWER_S)
        found = probe.witnesses(done.stdout)
        return {target: found.get(number, (None, "no answer")) for number, target in enumerate(wanted)}


def _read(peer: PeerWitness, answer: Answer) -> float | None:
    code, text = answer
    return None if code is None else KINDS[peer.kind].read(code, text)
