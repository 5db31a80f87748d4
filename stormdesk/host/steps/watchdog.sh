# sh watchdog.sh <record> <my letter> <my peer's letter>: the dead man's switch. Two of them watch and start each other again.
#
# Everything needed to revert is in this shell's memory from the start; the deadline is in time since boot. While it waits it
# needs no fork and no processor time: one child sleeps until the deadline or until the peer is gone, whose end of a pipe
# ($rec/life.<letter>) then closes. A byte in that pipe says that the deadline was brought forward.
rec=$1
me=$2
peer=$3
trap '' HUP INT TERM PIPE
# A shell that cannot fork ends, on a host without free pids too. It then begins anew in this very process, which takes no fork.
trap 'exec sh "$rec/watchdog.sh" "$rec" "$me" "$peer"' EXIT
cd / || exit 1
. "$rec/lib.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}

leave() {
  trap - EXIT
  exit "$1"
}

# The record is gone though nobody cleared it (a clear ends the watchdogs first): take the fault out from memory.
orphaned() {
  for _ in 1 2 3; do
    sd_undo >/dev/null 2>&1
    sleep 1
  done
  sd_release
  leave 1
}

# Wait until the instant $due, or until something happens.
nap() {
  sd_now
  began=$sd_now
  left=$(((due - sd_now + 9) / 10))
  # Tenths of a second, and never none: timeout takes that for "for ever".
  [ "$left" -gt 0 ] || left=2
  left=$((left / 10)).$((left % 10))
  if [ -p "$rec/life.$peer" ]; then
    timeout "$left" dd if="$rec/life.$peer" of=/dev/null bs=1 count=1 </dev/null >/dev/null 2>&1 9>&- &
  else
    sleep "$left" 9>&- &
  fi
  wait "$!"
  sd_now
  [ $((sd_now - began)) -ge 10 ] || sleep 0.2
}

{ echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null
read -r oom </proc/self/oom_score_adj
# On a host whose processors are all taken it still fires in time: first in its session, and its session (autogroup) first.
renice -n -20 -p $$ >/dev/null 2>&1
{ echo -20 >/proc/self/autogroup; } 2>/dev/null
sd_start $$ || leave 1
mine=$$.$sd_start
read -r other 2>/dev/null <"$rec/watch.$me" && [ "${other%% *}" != "$mine" ] && sd_alive "${other%% *}" && leave 0
exec 9<>"$rec/life.$me"
printf '%-63s\n' "$mine $oom" 1<>"$rec/watch.$me"
sd_read
[ "$me" != a ] || sd_event arm "oom=$oom"
while :; do
  sd_read
  [ "$sd_state" != REVERTED ] || { sd_release; leave 0; }  # whoever reverted may have died before it let go
  # A controller that gives up does so within seconds, and the deadline is still to come.
  case $sd_history in *' watchdog_gave_up=1'*) leave 1 ;; esac
  # The second one waits, so that the two do not fire together; it still fires when the first hangs.
  sd_value deadline
  [ -z "$sd_value" ] || deadline=$sd_value
  due=$deadline
  [ "$me" = a ] || due=$((deadline + 100))
  sd_now
  if [ "$sd_now" -ge "$due" ]; then
    [ -f "$rec/record" ] || orphaned
    (sd_revert watchdog 3000) 9>&- && leave 0
  fi
  read -r other 2>/dev/null <"$rec/watch.$peer" && { sd_alive "${other%% *}" || sd_start_watchdog "$peer" "$me"; }
  nap
done
