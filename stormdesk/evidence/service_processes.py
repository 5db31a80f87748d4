"""Which process each service of a stack is, asked on its host: by its pid file and /proc, never by its own word."""

from __future__ import annotations

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence.cut.lines import Process, Processes
from stormdesk.ssh.parallel import READ_S, Run, each

# Pairs of arguments: service, pid file. A line for each service that runs: its name, pid, start time, and how often
# supervisord says to have started it, or - where it keeps no log.
LOOK = r"""
log=/var/log/supervisor/supervisord.log
while [ $# -gt 1 ]; do
  name=$1 file=$2
  shift 2
  read -r pid 2>/dev/null <"$file" || continue
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
  start=$(set -- ${stat##*) }; echo "${20}")
  spawns=-
  [ ! -f $log ] || spawns=$(cat $log.1 $log 2>/dev/null | grep -c "spawned: '$name' with")
  echo "$name $pid $start $spawns"
done
exit 0
"""


def look(run: Run, inventory: Inventory) -> Processes:
    """The processes by host and service; a host that does not answer is left out."""

    def one(name: str) -> dict[str, Process]:
        services = inventory.hosts[name].services.items()
        words = [word for service, entry in services if entry.pidfile for word in (service, entry.pidfile)]
        done = run(name, ("sh", "-c", LOOK, "sh", *words), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        return dict(map(_process, done.stdout.splitlines()))

    answers = each((name for name, host in inventory.hosts.items() if host.services), one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}


def _process(line: str) -> tuple[str, Process]:
    name, pid, start, spawns = line.split()
    return name, Process(pid=int(pid), start_ticks=int(start), spawns=None if spawns == "-" else int(spawns))
