"""Looks for what Stormdesk may have left on hosts. Asks the hosts themselves, with no code of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence.cut.lines import Residue
from stormdesk.ssh.parallel import READ_S, Run, each

ACTIVE = "active "
# Everything that carries our name, and what only a fault would have made. One line a finding. What belongs to another
# run that is in right now is no residue; those runs are named in lines `active`. $1 is the run that asks, or "".
# The command line of this very shell holds the pattern too; it is the process $$ and has no children that do.
FIND_OURS = r"""
# Is a watchdog of the record $1 alive? Then its run is in, and heals by itself.
watched() {
  for letter in a b; do
    IFS=. read -r pid start 2>/dev/null <"$1/watch.$letter" || continue
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    # shellcheck disable=SC2086
    set -- "$1" ${stat##*) }
    [ "${start%% *}" != "${21}" ] || return 0
  done
  return 1
}
theirs() { # is $1 about another run that is in?
  for run in $active; do case $1 in *"$run"*) return 0 ;; esac; done
  return 1
}
touched() { # does another run that is in change things of the kind $1?
  for run in $active; do cat "/run/stormdesk/$run/touches" "/dev/shm/stormdesk/$run/touches"; done 2>/dev/null | grep -q "$1"
}
own=$1
shift
active=
for found in /run/stormdesk/r-* /dev/shm/stormdesk/r-*; do
  [ "${found##*/}" != "$own" ] && watched "$found" && active="$active ${found##*/}"
done
for dir in /run /dev/shm /var/lib; do
  for found in "$dir"/stormdesk/r-*; do
    # What only keeps a late arming out goes by itself.
    [ ! -e "$found" ] || theirs "${found##*/}" || { [ -e "$found/fenced" ] && [ ! -e "$found/record" ]; } || echo "record $found"
  done
  for found in "$dir"/stormdesk/lock.*; do
    [ ! -L "$found" ] || theirs "$(readlink "$found")" || echo "lock $found"
  done
done
for pid in /proc/[0-9]*; do
  [ "$pid" != "/proc/$$" ] || continue
  line=$(tr '\0' ' ' 2>/dev/null <"$pid/cmdline") || continue
  case $line in *stormdesk/r-*) theirs "$line" || echo "process ${pid#/proc/} $line" ;; esac
  ! grep -qs '^State:.T' "$pid/status" || touched service || echo "stopped process ${pid#/proc/} $line"
done
for tool in iptables-save ip6tables-save 'nft list ruleset' 'tc qdisc show' 'tc filter show'; do
  command -v "${tool%% *}" >/dev/null 2>&1 || continue
  touched netfilter || touched qdisc || $tool 2>/dev/null | grep -i -e stormdesk -e netem -e tbf | sed "s/^/${tool%% *}: /"
done
for link in /sys/class/net/*; do
  [ "${link##*/}" = lo ] || [ "$(cat "$link/operstate")" != down ] || touched link || echo "link ${link##*/} is down"
done
for path; do
  find "$path" -xdev -name '.stormdesk-*' 2>/dev/null | while read -r found; do theirs "$found" || echo "file $found"; done
done
for run in $active; do echo "active $run"; done
exit 0
"""


def look(
    run: Run, inventory: Inventory, diffs: Mapping[str, Sequence[str]] | None = None, own_run: str = ""
) -> dict[str, Residue]:
    """What is left on each host; one that does not answer is left out. `diffs` is what a fingerprint found changed,
    `own_run` the id of the run that asks: what it left is residue even while its watchdog still lives."""

    def one(name: str) -> Residue:
        done = run(name, ("sh", "-c", FIND_OURS, "sh", own_run, *inventory.hosts[name].paths.values()), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        found = [(line.startswith(ACTIVE), line) for line in done.stdout.splitlines()]
        ours = tuple(line for active, line in found if not active)
        others = tuple(line.removeprefix(ACTIVE) for active, line in found if active)
        diff = tuple((diffs or {}).get(name, ()))
        return Residue(clean=not ours and not diff, ours=ours, diff=diff, others=others)

    answers = each(inventory.hosts, one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}
