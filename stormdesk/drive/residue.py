"""Looks for what Stormdesk may have left on hosts. Asks the hosts themselves, with no code of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stormdesk.cut.lines import Residue
from stormdesk.drive.asking import READ_S, Run, each
from stormdesk.errors import HostError, StormdeskError
from stormdesk.inventory import Inventory

# Everything that carries our name, and what only a fault would have made. One line a finding. The command line of this
# very shell holds the pattern too; it is the process $$ and has no children that do.
FIND_OURS = r"""
for dir in /run /dev/shm /var/lib; do
  for found in "$dir"/stormdesk/r-*; do [ ! -e "$found" ] || echo "record $found"; done
  for found in "$dir"/stormdesk/lock.*; do [ ! -L "$found" ] || echo "lock $found"; done
done
for pid in /proc/[0-9]*; do
  [ "$pid" != "/proc/$$" ] || continue
  line=$(tr '\0' ' ' 2>/dev/null <"$pid/cmdline") || continue
  case $line in *stormdesk/r-*) echo "process ${pid#/proc/} $line" ;; esac
  ! grep -qs '^State:.T' "$pid/status" || echo "stopped process ${pid#/proc/} $line"
done
for tool in iptables-save ip6tables-save 'nft list ruleset' 'tc qdisc show' 'tc filter show'; do
  command -v "${tool%% *}" >/dev/null 2>&1 || continue
  $tool 2>/dev/null | grep -i -e stormdesk -e netem -e tbf | sed "s/^/${tool%% *}: /"
done
for link in /sys/class/net/*; do
  [ "${link##*/}" = lo ] || [ "$(cat "$link/operstate")" != down ] || echo "link ${link##*/} is down"
done
for path; do find "$path" -xdev -name '.stormdesk-*' 2>/dev/null | sed 's/^/file /'; done
exit 0
"""


def look(run: Run, inventory: Inventory, diffs: Mapping[str, Sequence[str]]) -> dict[str, Residue]:
    """What is left on each host; one that does not answer is left out. `diffs` is what a fingerprint found changed."""

    def one(name: str) -> Residue:
        done = run(name, ("sh", "-c", FIND_OURS, "sh", *inventory.hosts[name].paths.values()), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        ours, diff = tuple(done.stdout.splitlines()), tuple(diffs.get(name, ()))
        return Residue(clean=not ours and not diff, ours=ours, diff=diff)

    answers = each(inventory.hosts, one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}
