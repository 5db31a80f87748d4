"""The blast radius of a run, over all runs of the environment: asked of the hosts, and free of races.

A record that a host has acknowledged is the claim on it. A run first arms its hosts, then asks the others who holds them, and
only then injects. Of two runs that arm at once at least the later one sees the other, whoever started them and from where.
Who sees another's claim gives way; only a run that merely waits, and has the later id, is waited for: it will see ours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from stormdesk.core import safety
from stormdesk.core.errors import RefusedError, StormdeskError, TransportError
from stormdesk.core.model import HostFacts
from stormdesk.core.run_ids import whole
from stormdesk.core.safety import Claim, Seen
from stormdesk.host import probe, render
from stormdesk.host.probe import HostStatus
from stormdesk.host.scripts import host_scripts
from stormdesk.ssh.pool import Pool

ASK_S = 10.0  # before anything is armed
ASK_ARMED_S = 3.0
GIVE_WAY_S = 4.0  # how long a run that must give way to ours may take to do so
PAUSE_S = 0.2


def ask(pool: Pool, host: str, within_s: float = ASK_S, *, sweep: bool = False) -> HostStatus:
    """Who holds a host; with `sweep`, fences that are past their time go. Raises TransportError or HostError."""
    return probe.status(pool.script(host, render.status(host_scripts(), sweep=sweep), within_s).stdout)


class Blast:
    """The limits of the run `run_id` on hosts whose `facts` were read. `rivals` are the other hosts that they count."""

    def __init__(self, pool: Pool, run_id: str, facts: Mapping[str, HostFacts], allow: safety.Allow) -> None:
        self.rivals = safety.rivals(facts, pool.inventory, allow)
        self._pool = pool
        self._run_id = run_id
        self._allow = allow
        self._facts = facts

    def check(self, answers: Mapping[str, HostStatus | StormdeskError]) -> None:
        """Raises RefusedError when the run is too much, with what the rivals answered."""
        self._refuse({name: self._seen(answer) for name, answer in answers.items()})

    def confirm(self) -> None:
        """The same once more, for a run that is armed: nobody can slip in any more. Raises RefusedError."""
        until = time.monotonic() + GIVE_WAY_S
        while True:
            seen = {name: self._seen(answer) for name, answer in self._ask_armed().items()}
            try:
                return self._refuse(seen)
            except RefusedError:
                self._refuse({name: self._without_later(found) for name, found in seen.items()})
                if time.monotonic() >= until:
                    raise
            time.sleep(PAUSE_S)

    def _ask_armed(self) -> Mapping[str, HostStatus | StormdeskError]:
        """A host whose connection is gone is not dialled: our own deadline runs."""

        def one(host: str) -> HostStatus:
            if not self._pool.connected(host):
                raise TransportError(f"{host}: no connection")
            return ask(self._pool, host, ASK_ARMED_S)

        return self._pool.each(self.rivals, one)

    def _refuse(self, rivals: Mapping[str, Seen]) -> None:
        mine = {name: Seen(facts.identity) for name, facts in self._facts.items()}
        ephemeral = {n for n, facts in self._facts.items() if facts.marker and facts.marker.get("ephemeral") is True}
        safety.check_spread(list(self._facts), self._pool.inventory, ephemeral, self._allow, {**rivals, **mine})

    def _seen(self, answer: HostStatus | StormdeskError) -> Seen:
        if isinstance(answer, StormdeskError):
            return Seen()
        held = [record for record in answer.records if record.holds and whole(record.run_id) != whole(self._run_id)]
        return Seen(answer.identity, tuple(Claim(record.run_id, waiting=not record.bites) for record in held))

    def _without_later(self, seen: Seen) -> Seen:
        return replace(seen, claims=tuple(c for c in seen.claims if not (c.waiting and c.run_id > self._run_id)))
