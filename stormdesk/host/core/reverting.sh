# Fence, undo, revert, and letting go of locks.

# Make sure that no inject of this run acts any more: take the claim, or end its holder and its whole process group.
sd_fence() {
  ln -s fenced "$rec/go" 2>/dev/null && return 0
  sd_holder=$(readlink "$rec/go") || return 0
  [ "$sd_holder" = fenced ] && return 0
  sd_alive "$sd_holder" || return 0
  kill -KILL "-${sd_holder%.*}" 2>/dev/null
  sd_gone "$sd_holder" 20
}

# Run every undo, last step first.
sd_undo() {
  sd_step=$SD_STEPS
  while [ "$sd_step" -gt 0 ]; do
    "plan_undo_$sd_step"
    sd_step=$((sd_step - 1))
  done
}

# Let go of what the run holds on this host besides its record.
sd_release() {
  sd_unlock
  if [ -n "$SD_PERSISTENT" ]; then
    rm -rf "${sd_durable:?}/${SD_RUN:?}"
    sd_boot_hook_remove
  fi
  return 0
}

# Remove this run's locks, or only those whose names begin with $1.
sd_unlock() {
  for sd_lock in "$sd_base/lock.$1"*; do
    [ -L "$sd_lock" ] || continue
    # A lock leads to its record, as long as there is one.
    if [ "$sd_lock" -ef "$rec" ] || [ "$(readlink "$sd_lock" 2>/dev/null)" = "${rec##*/}" ]; then rm -f "$sd_lock"; fi
  done
}

# Revert this run: $1 who, $2 for how many tenths of a second to keep trying. Absolute and idempotent: any number of
# processes may do it at once or after each other, from any state. 0: verified.
sd_revert() {
  sd_read
  [ "$sd_state" != REVERTING ] || sd_wait_for_the_first "$1"
  # Whoever wrote that may have died before it let go; our answer means that the host is free for the next run.
  [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
  # The watchdogs have tried for as long as is sensible: an operator who repairs by hand is not to be disturbed.
  case $1$sd_history in watchdog*' watchdog_gave_up=1'*) return 1 ;; esac
  sd_was_in=$sd_state
  sd_judged=
  sd_fence
  sd_start $$
  sd_mine=$$.$sd_start
  sd_event revert "by=$1 at_it=$sd_mine"
  sd_read
  case $sd_history in
    *' INJECTING '*) ;;
    # Nothing was done yet; unless an inject has come to its end, and somebody cut the record short since.
    *) [ -e "$rec/restarted" ] || [ -e "$rec/ours" ] || { sd_lateness; sd_end "$1"; return; } ;;
  esac
  # Who came second would see what the first one has undone by now.
  sd_value at_it
  [ "$sd_was_in$sd_value" != "CONFIRMED$sd_mine" ] || sd_last_look
  sd_last=$(sd_picture)
  sd_hands_off=
  sd_tries=0 sd_pause=0.2
  sd_now; sd_until=$((sd_now + $2 * 10))
  while :; do
    # Somebody else was faster, or the record was cleared since: this host may carry another run's fault by now.
    sd_read || return 0
    [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
    if [ -z "$sd_hands_off" ]; then
      sd_undo >/dev/null 2>&1
      [ -z "$sd_judged" ] || sd_put_back >/dev/null 2>&1
      sd_only_networking_left || sd_lateness  # the fault ends here; looking whether it did may take a while on a busy host
    fi
    sd_is_back && { sd_end "$1"; return; }
    sd_now
    [ "$sd_now" -lt "$sd_until" ] || break
    sd_note not_verified=1
    sleep "$sd_pause"
    sd_tries=$((sd_tries + 1))
    case $sd_tries in
      10) sd_pause=1 ;;
      18 | 19 | 20 | 21) sd_pause=$((sd_pause * 2)) ;;
    esac
    # Where what is left changes though we did nothing, somebody repairs by hand: then only look, until nothing changed for 15 s.
    if [ "$sd_tries" -gt 10 ]; then
      [ -n "$sd_hands_off" ] || { sd_left_then=$(sd_left_over); sd_is_back && { sd_end "$1"; return; }; }
      sd_left_now=$(sd_left_over)
      sd_now
      if [ "$sd_left_now" != "$sd_left_then" ]; then
        sd_hands_off=$((sd_now + 1500))
        sd_note somebody_repairs=1
      elif [ "${sd_hands_off:-$sd_now}" -lt "$sd_now" ]; then
        sd_hands_off=
      fi
      sd_left_then=$sd_left_now
    fi
  done
  sd_event give_up "by=$1"
  [ "$1" != watchdog ] || sd_note watchdog_gave_up=1
  sd_keep_judged
  logger -p user.crit -t stormdesk "run $SD_RUN: the host is not as it was before; the record is $rec" 2>/dev/null
  return 1
}

# Did the last try leave nothing but addresses, routes and neighbours? A network manager takes them away and brings them back in its
# own time: the fault itself has ended then.
sd_only_networking_left() {
  [ -n "$sd_judged" ] && ! sd_left_over | grep -qv '^left . \(addr\|route.\|neigh\|nexthop\) '
}

# Somebody is at it: wait for it, unless it dies or takes more than 8 s. A watchdog waits for as long as the other one tries again.
sd_wait_for_the_first() {
  sd_value at_it
  sd_left=80
  while [ "$sd_left" -gt 0 ] && [ "$sd_state" = REVERTING ] && [ "${sd_value%.*}" != $$ ] && sd_alive "$sd_value"; do
    sleep 0.1
    sd_left=$((sd_left - 1))
    sd_read
    case $1$sd_history in watchdog*' not_verified=1'*) sd_left=80 ;; esac
  done
}

# Look once more whether the fault is still in, before it is undone: somebody may have ended it.
sd_last_look() {
  timeout 2 sh "$rec/look.sh" "$rec" >/dev/null 2>&1
  case $? in
    0) sd_now; sd_note "seen=$sd_now" ;;
    1) sd_note ended_early=1 ;;
  esac
}

# Is the host as it should be? After a start only the plan's files are compared: the start made all else anew.
sd_is_back() {
  if [ -e "$rec/restarted" ]; then [ "$(sd_files "$SD_FILES")" = "$(cat "$rec/files")" ]; return; fi
  sd_verify "$sd_last" && sd_space_note
}

# The end of the revert by $1. Who came first stays: the link is made once.
sd_end() {
  sd_said="reverted_by=$1 late_cs=$sd_late"
  ln -s "$sd_said" "$rec/end" 2>/dev/null
  sd_first=$(readlink "$rec/end") || sd_first=$sd_said
  sd_keep_judged
  sd_event verify "$sd_first"
  sd_release
}

# For the report: whose the changes were.
sd_keep_judged() {
  { printf '%s\n' "$sd_judged" >"$rec/judged.new" && mv "$rec/judged.new" "$rec/judged"; } 2>/dev/null
  return 0
}

# Set $sd_late: centiseconds past the deadline, 0 when before it.
sd_lateness() {
  sd_now
  sd_late=0
  sd_value deadline
  [ -n "$sd_value" ] && [ "$sd_now" -gt "$sd_value" ] && sd_late=$((sd_now - sd_value))
  return 0
}
