# Signals to processes, identified by (pid, start time).

# Send signal $1 to each of the identities "$2..": only to that very process, never to another one that has reused its pid.
sd_kill() {
  sd_signal=$1
  shift
  for sd_target; do
    # Recorded before the stop, so that the undo continues exactly what we stopped.
    [ "$sd_signal" != STOP ] || printf '%s\n' "$sd_target" >>"$rec/stopped" || continue
    sd_alive "$sd_target" && kill "-$sd_signal" "${sd_target%.*}" && sd_note "signal=$sd_signal target=$sd_target"
  done
  return 0
}

# Continue every process that we stopped; if the record is gone, identity $1.
sd_continue() {
  [ -f "$rec/record" ] || { sd_kill CONT "$1"; return; }
  [ -f "$rec/stopped" ] || return 0
  while read -r sd_one; do sd_kill CONT "$sd_one"; done <"$rec/stopped"
}

# Baseline of signal $1 to identity $2: it runs, and for STOP it is not already stopped.
sd_before_signal() {
  sd_alive "$2" || { echo "$2 has ended"; return 1; }
  case $1$sd_stat in STOPT*) echo "$2 is already stopped"; return 1 ;; esac
}

# Wait up to $2 tenths of a second until identity $1 is stopped: a signal takes effect with a delay.
sd_stopped() {
  sd_left=$2
  until sd_alive "$1" && grep -q '^State:.T' "/proc/${1%.*}/status" 2>/dev/null; do
    [ "$sd_left" -gt 0 ] || return 1
    sd_left=$((sd_left - 1))
    sleep 0.1
  done
}

# Is identity $1 still stopped? A process that has ended is not.
sd_still_stopped() {
  sd_alive "$1" || return 1
  case $sd_stat in T*) ;; *) return 1 ;; esac
}

# Evidence that signal $1 reached each of the identities "$2..": the note that we sent it, and its effect if it is one that stops or
# ends a process. A daemon may handle any other.
sd_witness_signal() {
  sd_signal=$1
  shift
  sd_read
  for sd_target; do
    case $sd_history in
      *" STEP signal=$sd_signal target=$sd_target$sd_newline"*) ;;
      *) echo "$sd_target: no signal was sent, it had ended"; return 1 ;;
    esac
    case $sd_signal in
      STOP) sd_did=stopped; sd_stopped "$sd_target" 20 || { echo "$sd_target is not stopped"; return 1; } ;;
      KILL | TERM | INT | QUIT) sd_did=gone; sd_gone "$sd_target" 20 || { echo "$sd_target is still there"; return 1; } ;;
      *) sd_did=sent ;;
    esac
  done
  echo "signal $sd_signal: (pid, start time) $* $sd_did"
}
