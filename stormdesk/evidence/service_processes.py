"""The process of each service of a stack, read on its host from its pid file and /proc, never from the service's own report."""

from __future__ import annotations

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence.cut.lines import Process, Processes
from stormdesk.host.scripts import probe
from stormdesk.ssh.parallel import READ_S, Run, each


def look(run: Run, inventory: Inventory) -> Processes:
    """The processes by host and service; a host that does not answer is left out."""

    def one(name: str) -> dict[str, Process]:
        services = inventory.hosts[name].services.items()
        words = [word for service, entry in services if entry.pidfile for word in (service, entry.pidfile)]
        done = run(name, probe("processes", *words), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        return dict(map(_process, done.stdout.splitlines()))

    answers = each((name for name, host in inventory.hosts.items() if host.services), one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}


def _process(line: str) -> tuple[str, Process]:
    name, pid, start, spawns = line.split()
    return name, Process(pid=int(pid), start_ticks=int(start), spawns=None if spawns == "-" else int(spawns))
