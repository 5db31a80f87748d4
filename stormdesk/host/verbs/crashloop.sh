# A service whose starts fail.

# Kill service $1 of manager $2 and each of its next starts, $3 processes in all. $rec/crashes lists their identities.
sd_crashloop() {
  : >"$rec/crashes" || return
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background crasher sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1; sd_kills=0
    while [ "$sd_kills" -lt "$4" ]; do
      sd_read; case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      for sd_pid in $(sd_service_leader "$2" "$3"); do sd_crash "$sd_pid" && sd_kills=$((sd_kills + 1)); done
      sleep 0.1
    done' sh "$rec" "$1" "$2" "$3"
}

# Print the pid of service $1 of manager $2 without calling supervisorctl, which is slow: a program of supervisord leads a process
# group and has the service's name in its environment.
sd_service_leader() {
  case $2 in
    supervisor) ;;
    *) sd_service_pids "$1" "$2" >/dev/null; echo "$sd_pids"; return ;;
  esac
  # shellcheck disable=SC2013  # names of files in /proc
  for sd_file in $(grep -ls "SUPERVISOR_PROCESS_NAME=${1#*:}" /proc/[0-9]*/environ); do
    tr '\0' '\n' 2>/dev/null <"$sd_file" | grep -qx "SUPERVISOR_PROCESS_NAME=${1#*:}" || continue
    sd_pid=${sd_file#/proc/} sd_pid=${sd_pid%/environ}
    sd_start "$sd_pid" || continue
    # shellcheck disable=SC2086  # its fields, one word each
    sd_group=$(set -- $sd_stat; echo "$3")
    [ "$sd_group" != "$sd_pid" ] || echo "$sd_pid"
  done
}

# Kill process $1, unless it is never a target or we have killed it already.
sd_crash() {
  case $1 in '' | 0 | *[!0-9]*) return 1 ;; esac
  sd_start "$1" || return 1
  sd_one=$1.$sd_start
  ! grep -qx "$sd_one" "$rec/crashes" || return 1
  sd_ours=$(sd_own_pids)
  sd_protected "$1"
  [ -z "$sd_why" ] && sd_alive "$sd_one" && printf '%s\n' "$sd_one" >>"$rec/crashes" && kill -KILL "$1"
}

# Evidence of a crash loop of service $1, within eighteen seconds: it was killed, and so was its next start. $2: identity before.
# A guard that needs two bad checks, five seconds apart, restarts it after ten.
sd_witness_crashloop() {
  sd_left=90
  until [ "$(wc -l <"$rec/crashes")" -ge 2 ] && grep -qx "$2" "$rec/crashes"; do
    [ "$sd_left" -gt 0 ] || { echo "$1: $(wc -l <"$rec/crashes") processes were killed, and its manager has not restarted it"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.2
  done
  sd_gone "$2" 20 || { echo "process ${2%.*} of $1 is still there"; return 1; }
  echo "$1 was killed, and its next start failed: pids $(sed 's/\..*//' "$rec/crashes" | tr '\n' ' ')"
}

# Will the next start fail, or have all $1 starts failed?
sd_still_crashing() {
  [ "$(wc -l <"$rec/crashes")" -ge "$1" ] || sd_background_runs crasher
}

# Stop the kills and record their number.
sd_crashloop_end() {
  sd_background_end crasher
  [ ! -s "$rec/crashes" ] || { sd_left=$(wc -l <"$rec/crashes"); sd_note "hits=$((sd_left))"; }
}
