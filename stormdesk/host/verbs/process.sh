# Verbs on processes, each known by its identity.

# "<pid>.<start> <user id> <command line>" of the processes that $1 (service, pidfile, pattern) $2 selects. Never selected:
# pid 1, kernel threads, sshd and what it carries (this shell is among them), watchdogs, supervisord, container engines.
sd_processes() {
  case $1 in
    service)
      sd_pids=$(timeout 10 supervisorctl pid "$2" 2>/dev/null || systemctl show -p MainPID --value "$2" 2>/dev/null) ;;
    pidfile) read -r sd_pids <"$2" || return 1 ;;
    pattern) sd_pids=$(sd_matching "$2") ;;
  esac
  for sd_pid in $sd_pids; do
    case $sd_pid in *[!0-9]* | 0 | 1) continue ;; esac
    sd_start "$sd_pid" || continue
    sd_line=$(tr '\000-\037\177' ' ' 2>/dev/null <"/proc/$sd_pid/cmdline")
    [ -n "$sd_line" ] || continue
    case $sd_line in *sshd* | *stormdesk/r-*watchdog.sh* | *supervisord* | *dockerd* | *containerd*) continue ;; esac
    echo "$sd_pid.$sd_start $(stat -c %u "/proc/$sd_pid") $sd_line"
  done
}

# Pids whose command line contains $1 as a plain string, this session's own processes left out.
sd_matching() {
  read -r sd_stat </proc/self/stat
  for sd_dir in /proc/[0-9]*; do
    sd_line=$(tr '\0' ' ' 2>/dev/null <"$sd_dir/cmdline") || continue
    case $sd_line in *"$1"*) ;; *) continue ;; esac
    [ "$(cut -d' ' -f6 "$sd_dir/stat" 2>/dev/null)" = "$(cut -d' ' -f6 "/proc/$$/stat")" ] || echo "${sd_dir#/proc/}"
  done
}

# Send signal $1 to each of the identities "$2..": only to that very process, never to one that has its pid now.
sd_kill() {
  sd_signal=$1
  shift
  for sd_target; do
    sd_alive "$sd_target" && kill "-$sd_signal" "${sd_target%.*}" && sd_note "signal=$sd_signal target=$sd_target"
  done
  return 0
}

# Send signal $1 to service $2 again every $3 seconds, whenever it runs, for as long as the run is in.
sd_kill_again() {
  # It looks every second whether the run is still in, so that it ends by itself even if nobody knows of it.
  # shellcheck disable=SC2016  # the inner shell expands it
  setsid sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1; sd_wait=$4
    sd_start $$; printf "%s\n" "$$.$sd_start" >"$rec/repeater"
    while sleep 1; do
      sd_read; case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      sd_wait=$((sd_wait - 1)); [ "$sd_wait" -le 0 ] || continue
      sd_wait=$4
      for sd_one in $(sd_processes service "$3" | cut -d" " -f1); do sd_alive "$sd_one" && kill "-$2" "${sd_one%.*}"; done
    done' sh "$rec" "$1" "$2" "$3" </dev/null >/dev/null 2>&1 &
}

sd_kill_again_stop() {
  read -r sd_repeater 2>/dev/null <"$rec/repeater" || return 0
  sd_alive "$sd_repeater" && kill -KILL "-${sd_repeater%.*}"
  sd_gone "$sd_repeater" 20
}

# Wait up to $2 tenths of a second until identity $1 is stopped: a signal is on its way for a moment.
sd_stopped() {
  sd_left=$2
  until sd_alive "$1" && grep -q '^State:.T' "/proc/${1%.*}/status" 2>/dev/null; do
    [ "$sd_left" -gt 0 ] || return 1
    sd_left=$((sd_left - 1))
    sleep 0.1
  done
}

# Evidence that signal $1 arrived: each of the identities "$2.." is gone (or, for STOP, stopped).
sd_witness_signal() {
  sd_signal=$1
  shift
  for sd_target; do
    if [ "$sd_signal" = STOP ]; then
      sd_stopped "$sd_target" 20 || { echo "$sd_target is not stopped"; return 1; }
    else
      sd_gone "$sd_target" 20 || { echo "$sd_target is still there"; return 1; }
    fi
  done
  echo "signal $sd_signal: (pid, start time) $* $([ "$sd_signal" = STOP ] && echo stopped || echo gone)"
}
