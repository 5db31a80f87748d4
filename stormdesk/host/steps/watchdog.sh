# sh watchdog.sh <record> <my letter> <my peer's letter>: the dead man's switch. Two of them watch and respawn each other.
# Everything needed to revert is in this shell's memory from the start; the deadline is in time since boot.
rec=$1
me=$2
peer=$3
trap '' HUP INT TERM PIPE
cd / || exit 1
. "$rec/lib.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}

start_peer() {
  setsid sh "$rec/watchdog.sh" "$rec" "$peer" "$me" </dev/null >/dev/null 2>&1 &
}

# The record is gone though nobody cleared it (a clear ends the watchdogs first): take the fault out from memory.
orphaned() {
  for _ in 1 2 3; do
    sd_undo >/dev/null 2>&1
    sleep 1
  done
  sd_release
  exit 1
}

{ echo -1000 >/proc/self/oom_score_adj; } 2>/dev/null
read -r oom </proc/self/oom_score_adj
# On a host whose processors are all taken it still fires in time: first in its session, and its session (autogroup) first.
renice -n -20 -p $$ >/dev/null 2>&1
{ echo -20 >/proc/self/autogroup; } 2>/dev/null
sd_start $$ || exit 1
mine=$$.$sd_start
read -r other 2>/dev/null <"$rec/watch.$me" && sd_alive "${other%% *}" && exit 0
printf '%-63s\n' "$mine $oom" 1<>"$rec/watch.$me"
sd_read
[ "$me" != a ] || sd_event arm "oom=$oom"
while :; do
  [ -f "$rec/record" ] || orphaned
  sd_read
  # Whoever reverted may have died before it let go.
  [ "$sd_state" != REVERTED ] || { sd_release; exit 0; }
  # The inject may have brought the deadline forward. The second one waits, so that the two do not fire together; it still
  # fires when the first hangs.
  sd_value deadline
  [ -z "$sd_value" ] || deadline=$sd_value
  due=$deadline
  [ "$me" = a ] || due=$((deadline + 200))
  sd_now
  if [ "$sd_now" -ge "$due" ]; then
    (sd_revert watchdog 600) && exit 0
  fi
  read -r other <"$rec/watch.$peer"
  sd_alive "${other%% *}" || start_peer
  sleep 0.2
done
