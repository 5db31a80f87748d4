# sh residue.sh <own run or ""> <path>...: everything that carries our name, one line a finding; and in lines `mark` what a fault
# leaves without a name, but anybody else may have made as well. What belongs to another run that is in right now is neither;
# those runs are named in lines `active`.
# Of each path only the folder itself is read: what lies below it is user data, and may be millions of files.
# The command line of this very shell holds the pattern too; it is the process $$ and has no children that do.
# Is a watchdog of the record $1 alive? Then its run is in, and heals by itself.
watched() {
  for letter in a b; do
    IFS=. read -r pid start 2>/dev/null <"$1/watch.$letter" || continue
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    # shellcheck disable=SC2086  # its fields, one word each
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
  ! grep -qs '^State:.T' "$pid/status" || touched service || echo "mark stopped process ${pid#/proc/} $line"
done
# A qdisc of ours is known by its handle (stormdesk/mechanism/shaping.py).
for tool in iptables-save ip6tables-save 'nft list ruleset' 'tc qdisc show' 'tc filter show'; do
  command -v "${tool%% *}" >/dev/null 2>&1 || continue
  touched netfilter || touched qdisc || $tool 2>/dev/null |
    sed -n -e "/[Ss]tormdesk/s/^/${tool%% *}: /p" -e "/qdisc [a-z]* 5d00: /{s/^/${tool%% *}: /p;d}" -e "/ netem /s/^/mark ${tool%% *}: /p" -e "/ tbf /s/^/mark ${tool%% *}: /p"
done
for link in /sys/class/net/*; do
  [ "${link##*/}" = lo ] || [ "$(cat "$link/operstate")" != down ] || touched link || echo "mark link ${link##*/} is down"
done
for path; do
  for found in "$path"/.stormdesk-*; do
    [ ! -e "$found" ] && [ ! -L "$found" ] || theirs "$found" || echo "file $found"
  done
done
for run in $active; do echo "active $run"; done
exit 0
