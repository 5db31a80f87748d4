# sh arm.sh <record> <ttl in centiseconds> [later]: S1 INTENT, S2 ARM, S3 ACK on the host; the inject comes right after, or later. Ends
# with 0 only when two watchdogs are alive and have said so. Refuses (10) with nothing left behind. rule R1: the watchdog is there
# before the first side effect.
rec=$1
ttl=$2
. "$rec/lib.sh"
. "$rec/verbs.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}

refuse() {
  printf "%s\n" "refused $*"
  sd_end_watchdogs
  sd_release
  [ -e "$rec/fenced" ] || rm -rf "${rec:?}"
  rmdir "$sd_base" 2>/dev/null
  exit 10
}

still_wanted() {
  [ ! -e "$rec/fenced" ] || refuse "fenced: the controller gave this run up"
}

# Set $lock: the lock's path for resource $1; the name is the resource with everything but letters and digits replaced.
lock_path() {
  lock=$sd_base/lock.
  left=$1
  while [ -n "$left" ]; do
    case $left in
      [A-Za-z0-9]*) lock=$lock${left%"${left#?}"} ;;
      *) lock=${lock}_ ;;
    esac
    left=${left#?}
  done
}

# Take the lock of each resource, or fail and set $said. -n: the name of a run is that of its record beside the lock; it must never
# be followed.
lock_all() {
  while IFS= read -r resource; do
    lock_path "$resource"
    ln -sn "$SD_RUN" "$lock" 2>/dev/null || { said="$resource is taken by run $(readlink "$lock")"; return 1; }
  done <<END
$SD_RESOURCES
END
}

# Does command "$2.." still print $1? The plan was made from that answer.
sd_same() {
  expected=$1
  shift
  [ "$("$@" 2>/dev/null)" = "$expected" ] || { printf "changed since the plan was made: %s\n" "$*" >&2; return 1; }
}

# One of the places that this run may have, each a lock: however many arm at once, no more of them come in. Those that were
# allowed to be more count as well. Fail and set $said when there is none.
place() {
  number=1
  while [ "$number" -le "$SD_MOST_FAULTS" ]; do
    ln -sn "$SD_RUN" "$sd_base/lock.fault.$number" 2>/dev/null && break
    number=$((number + 1))
  done
  set -- "$sd_base"/lock.fault.*
  # One of them is ours, if there was one to be had.
  [ "$number" -gt "$SD_MOST_FAULTS" ] || { [ $# -gt "$SD_MOST_FAULTS" ] || return 0; shift; }
  said="$# faults are in already: at most $SD_MOST_FAULTS at once"
  return 1
}

# Whoever died while arming acts no more, and holds what it had taken. The one-shot claim makes sure that only one of us
# clears that away, and that nobody can inject it.
discard_dead() {
  for other in "$sd_base"/r-*/; do
    other=${other%/}
    [ "$other" != "$rec" ] || continue
    read -r armer 2>/dev/null <"$other/armer" || continue
    ! sd_alive "$armer" || continue
    (
      rec=$other SD_RUN=${other##*/}
      sd_read
      case $sd_state in "" | INTENT) ;; *) exit ;; esac
      for letter in a b; do read -r id 2>/dev/null <"$rec/watch.$letter" && sd_alive "${id%% *}" && exit; done
      # Its watchdog may be about to say that it lives.
      grep -qsF "$rec/watchdog.sh" /proc/[0-9]*/cmdline && exit
      ln -s fenced "$rec/go" 2>/dev/null && sd_discard
    )
  done
  sleep 0.5  # another one who arms may be clearing one away
}

for tool in ip sleep readlink ln stat sha256sum grep sed tr df tail head awk dd mkfifo setsid timeout; do
  command -v "$tool" >/dev/null 2>&1 || refuse "this host has no $tool"
done
[ -z "$SD_PERSISTENT" ] || sd_boot_hook_possible || [ "$SD_NO_BOOT_HOOK" = allowed ] ||
  refuse "$sd_why_no_hook, and $SD_FAULT survives a reboot   (--allow-no-boot-hook)"
said=$(plan_recheck 2>&1) || refuse "$said"
sd_start $$
printf "%s\n" "$$.$sd_start" >"$rec/armer"
lock_all || { discard_dead; sd_unlock; lock_all; } ||
  refuse "$said. Wait, or: invoke chaos.revert --run ${said##* }"
place || { discard_dead; sd_unlock fault.; place; } ||
  refuse "$said. Wait, or: --allow-faults $((SD_MOST_FAULTS + 1))"
sd_put ""
printf "%-63s\n" "" >"$rec/watch.a"
printf "%-63s\n" "" >"$rec/watch.b"
mkfifo "$rec/life.a" "$rec/life.b"
printf "%s\n" "$SD_TOUCHES" >"$rec/touches"
# The picture before the fault is taken right before it; where that is later, it is seen now that it can be taken.
[ "$3" != later ] || ! said=$(sd_picture | grep -F '!error') || refuse "cannot read this host: $(printf '%s\n' "$said" | head -n 1)"
sd_files "$SD_FILES" >"$rec/files"
sd_space >"$rec/space"
sd_now
deadline=$((sd_now + ttl))
read -r boot </proc/sys/kernel/random/boot_id
sd_event intend "fault=$SD_FAULT deadline=$deadline boot=$boot"
if [ -n "$SD_PERSISTENT" ]; then
  durable=$sd_durable/$SD_RUN
  { mkdir -p "$durable" && cp "$rec"/*.sh "$rec/files" "$rec/space" "$rec/touches" "$durable/"; } || refuse "cannot write $durable"
  if sd_boot_hook_possible; then sd_boot_hook_install || refuse "cannot write its boot hook ${sd_hook:-/etc/stormdesk/boot}"; fi
  # The files, then their folder; not every file system of the host. What is not complete was never injected.
  sync "$durable"/* "$durable" "$sd_durable" 2>/dev/null || sync
  : >"$durable/complete"
  sync "$durable" 2>/dev/null || sync
fi
still_wanted
sd_start_watchdog a b
waited=0
while :; do
  read -r a <"$rec/watch.a"
  read -r b <"$rec/watch.b"
  sd_alive "${a%% *}" && sd_alive "${b%% *}" && break
  waited=$((waited + 1))
  [ "$waited" -lt 60 ] || refuse "the watchdog did not come up within 3 s"
  sleep 0.05
done
still_wanted
sd_event acknowledge "a=${a%% *} b=${b%% *} oom=${a##* }"
