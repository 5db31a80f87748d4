# Stop processes with their children, and continue exactly those.

# Print process $1 and its descendants, one pid per line, parents first.
sd_tree() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v top="$1" '
    { pid = $1; sub(/^.*\) /, ""); order[++n] = pid; parent[pid] = $2 }
    END {
      below[top] = 1; print top
      do {
        more = 0
        for (i = 1; i <= n; i++) if (!(order[i] in below) && (parent[order[i]] in below)) { below[order[i]] = 1; more = 1; print order[i] }
      } while (more)
    }'
}

# Stop identity $1 with all its descendants, except those that somebody else has stopped already. Parents first, and repeated until
# there are no new ones: a process that is not stopped yet may fork.
sd_stop_family() {
  sd_alive "$1" || return 0
  sd_ours=$(sd_own_pids)
  sd_round=0
  while [ "$sd_round" -lt 10 ]; do
    sd_more=
    for sd_pid in $(sd_tree "${1%.*}"); do sd_stop_one "$sd_pid" && sd_more=yes; done
    [ -n "$sd_more" ] || break
    sd_round=$((sd_round + 1))
  done
  return 0
}

# Stop process $1 unless it is already stopped or never a target; fail if there is nothing to do. It is recorded first.
sd_stop_one() {
  sd_start "$1" || return 1
  case $sd_stat in T*) return 1 ;; esac
  sd_one=$1.$sd_start
  sd_protected "$1"
  [ -z "$sd_why" ] && sd_alive "$sd_one" || return 1
  grep -qsx "$sd_one" "$rec/stopped" || printf '%s\n' "$sd_one" >>"$rec/stopped" || return 1
  kill -STOP "$1" 2>/dev/null && sd_stopped "$sd_one" 20
}

# Continue exactly the processes that we stopped; if the record is gone, identity $1 and its descendants. With the record, shell
# builtins only.
sd_continue_family() {
  if [ -f "$rec/record" ]; then
    [ -f "$rec/stopped" ] || return 0
    while read -r sd_one; do ! sd_alive "$sd_one" || kill -CONT "${sd_one%.*}"; done <"$rec/stopped"
  elif sd_alive "$1"; then
    for sd_pid in $(sd_tree "${1%.*}"); do kill -CONT "$sd_pid"; done
  fi
  return 0
}

# Stop identity $1 with its children for $2 seconds, let it run for $3, repeatedly while the fault is in.
sd_pause_again() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background pauser sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1
    while sleep "$3"; do
      sd_continue_family "$2"
      sleep "$4"
      sd_read; case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      sd_stop_family "$2"
    done' sh "$rec" "$1" "$2" "$3"
}

# Evidence that we have paused identity $1: it is seen stopped within five seconds.
sd_witness_paused() {
  sd_left=100
  until sd_is_paused "$1"; do
    [ "$sd_left" -gt 0 ] || { echo "$1 is not stopped"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  grep -qsx "$1" "$rec/stopped" || { echo "$1 was stopped by somebody else"; return 1; }
  echo "(pid, start time) $1 is stopped, with its children $(sort -u "$rec/stopped" | wc -l) in all"
}

# Is identity $1 stopped right now?
sd_is_paused() {
  sd_alive "$1" || return 1
  case $sd_stat in T*) ;; *) return 1 ;; esac
}
