# Which processes a fault may be aimed at.

# Print "<pid>.<start> <user id> <command line>" of the processes that $1 (service, pidfile, pattern) $2 selects. $3: a service's
# manager, from the inventory. Prints "left-out <text>" for each that is not a target, and "manager <name>" for a service.
sd_processes() {
  case $1 in
    service) sd_service_pids "$2" "$3" ;;
    pidfile) sd_pidfile "$2" ;;
    pattern)
      sd_pids=$(sd_matching "$2")
      # shellcheck disable=SC2086  # pids
      case $sd_pids in *[!0-9]*) sd_pids=$(sd_still_matching "$2" $sd_pids) ;; esac
      ;;
  esac
  sd_ours=$(sd_own_pids)
  for sd_pid in $sd_pids; do
    case $sd_pid in 0 | *[!0-9]*) continue ;; esac
    sd_start "$sd_pid" || { echo "left-out no process has the pid $sd_pid"; continue; }
    sd_found=$sd_pid.$sd_start
    sd_line=$(tr '\000-\037\177' ' ' 2>/dev/null <"/proc/$sd_pid/cmdline")
    sd_protected "$sd_pid"
    [ -n "$sd_line" ] || sd_why="a kernel thread"
    if [ -n "$sd_why" ]; then
      printf 'left-out %s (%.60s) is %s\n' "$sd_pid" "$sd_line" "$sd_why"
    else
      echo "$sd_found $(stat -c %u "/proc/$sd_pid") $sd_line"
    fi
  done
}

# Of the pids $2.. those that match $1 a moment later, too: a shell's copy of itself that is about to become another program has its
# parent's command line for an instant.
sd_still_matching() {
  sleep 0.1
  sd_again=" $(sd_matching "$1" | tr '\n' ' ')"
  shift
  for sd_pid in "$@"; do case $sd_again in *" $sd_pid "*) echo "$sd_pid" ;; esac; done
}

# Set $sd_pids to the numbers in the first line of file $1. The line may have other words, and the newline may be missing.
sd_pidfile() {
  sd_pids=
  [ -f "$1" ] && [ -r "$1" ] || { echo "left-out there is no such file"; return; }
  sd_text=$(head -n 1 "$1" | tr '\000-\011\013-\037\177' ' ' | cut -c 1-80)
  set -f
  for sd_word in $sd_text; do
    case $sd_word in *[!0-9]*) ;; *) sd_pids="$sd_pids $sd_word" ;; esac
  done
  set +f
  [ -n "$sd_pids" ] || printf 'left-out its first line holds no pid: "%.40s"\n' "$sd_text"
}

# Print the pids whose command line contains $1 as a plain string, except this session's own processes.
sd_matching() {
  sd_start $$
  sd_session "$sd_stat"; sd_here=$sd_session
  for sd_dir in /proc/[0-9]*; do
    sd_line=$(tr '\0' ' ' 2>/dev/null <"$sd_dir/cmdline") || continue
    case $sd_line in *"$1"*) ;; *) continue ;; esac
    sd_start "${sd_dir#/proc/}" || continue
    sd_session "$sd_stat"
    [ "$sd_session" = "$sd_here" ] || echo "${sd_dir#/proc/}"
  done
}
