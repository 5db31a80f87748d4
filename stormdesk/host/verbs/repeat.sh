# A repeated signal.

# Send signal $1 to service $2 of manager $4 every $3 seconds, whenever it runs, while the fault is in.
sd_kill_again() {
  # It checks every second whether the fault is still in, so that it ends by itself even if nobody can find it.
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background repeater sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1; sd_wait=$4
    while sleep 1; do
      sd_read; case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      sd_wait=$((sd_wait - 1)); [ "$sd_wait" -le 0 ] || continue
      sd_wait=$4
      sd_service_pids "$3" "$5" >/dev/null
      for sd_pid in $sd_pids; do sd_send_again "$2" "$sd_pid"; done
    done' sh "$rec" "$1" "$2" "$3" "$4"
}

# Send signal $1 to process $2 without a note: only one process at a time may write the record, the injector or the reverter. A process
# that somebody else has stopped is left alone.
sd_send_again() {
  case $2 in 0 | *[!0-9]*) return 0 ;; esac
  sd_ours=$(sd_own_pids)
  sd_start "$2" || return 0
  sd_one=$2.$sd_start
  sd_protected "$2"
  [ -z "$sd_why" ] && sd_alive "$sd_one" || return 0
  if [ "$1" = STOP ]; then
    case $sd_stat in T*) return 0 ;; esac
    printf '%s\n' "$sd_one" >>"$rec/stopped" || return 0
  fi
  kill "-$1" "$2"
}
