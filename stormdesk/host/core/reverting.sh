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
    [ "$(readlink "$sd_lock" 2>/dev/null)" != "${rec##*/}" ] || rm -f "$sd_lock"
  done
}

# Set $sd_lock: the lock's path for resource $1; the name is the resource with everything but letters and digits replaced.
sd_lock_path() {
  sd_lock=$sd_base/lock.$(printf '%s' "$1" | tr -c 'A-Za-z0-9' '_')
}

# Revert this run: $1 who, $2 for how many tenths of a second to keep trying. Absolute and idempotent: any number of
# processes may do it at once or after each other, from any state. 0: verified.
sd_revert() {
  sd_read
  # Whoever wrote that may have died before it let go.
  [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
  if [ "$sd_state" = REVERTING ]; then
    # Somebody is at it: who came first is recorded as the reverter, unless it dies or takes too long.
    sd_value at_it
    sd_left=80
    while [ "$sd_left" -gt 0 ] && [ "${sd_value%.*}" != $$ ] && sd_alive "$sd_value"; do
      sleep 0.1
      sd_left=$((sd_left - 1))
      sd_read
      # It may be stopped before it lets go; our answer means that the host is free for the next run.
      [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
    done
  fi
  sd_fence
  sd_start $$
  sd_event revert "by=$1 at_it=$$.$sd_start"
  sd_tries=0
  sd_now; sd_until=$((sd_now + $2 * 10))
  sd_pause=0.2
  while :; do
    # Somebody else was faster, or the record was cleared since: this host may carry another run's fault by now.
    sd_read || return 0
    [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
    sd_undo >/dev/null 2>&1
    sd_lateness  # the fault ends here; looking whether it did may take a while on a busy host
    if sd_verify "$1"; then
      sd_event verify "reverted_by=$1 late_cs=$sd_late"
      sd_release
      return 0
    fi
    sd_now
    [ "$sd_now" -lt "$sd_until" ] || break
    sleep "$sd_pause"
    sd_tries=$((sd_tries + 1))
    [ "$sd_tries" -lt 10 ] || sd_pause=1
    [ "$sd_tries" -lt 30 ] || sd_pause=5
  done
  sd_event give_up "by=$1"
  logger -p user.crit -t stormdesk "run $SD_RUN: the host is not as it was before; the record is $rec" 2>/dev/null
  return 1
}

# Set $sd_late: centiseconds past the deadline, 0 when before it.
sd_lateness() {
  sd_now
  sd_late=0
  sd_value deadline
  [ -n "$sd_value" ] && [ "$sd_now" -gt "$sd_value" ] && sd_late=$((sd_now - sd_value))
  return 0
}
