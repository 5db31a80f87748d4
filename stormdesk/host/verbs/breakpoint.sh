# Verbs of a breakpoint: strace holds a process right before a system call of its own, until it is let go. The thread that makes the call
# stays at its entry: nothing of it is done. strace that ends, however, lets it go; so does the kernel when strace is killed.

# Does strace know system call $1 here? "yes" or "no: <why>".
sd_break_able() {
  if sd_said=$(strace -qq -o /dev/null -e "trace=$1" true 2>&1); then echo yes; else echo "no: $(printf '%.160s' "$sd_said" | tr '\n' ' ')"; fi
}

# Hold process $1 with its children when one of their threads makes system call $2 for the $3th time from now on; for $4 seconds at most.
sd_break_at() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background breaker sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1; sd_base=${rec%/*}; shift; sd_break_watch "$@"' sh "$rec" "$@" || return
  sd_until_attached "${1%.*}" breaker
}

# What the helper of sd_break_at does: read what strace writes, also the line that a held call leaves unfinished. While nothing is
# written it costs a sleep for each look.
sd_break_watch() {
  case $2 in *sync*) sd_more=',?write,?pwrite64,?writev,?pwritev' ;; *) sd_more= ;; esac
  : >"$rec/breaker.trace"
  # Who is stopped already stays so. Afterwards it cannot be told: whoever is traced is in another state.
  sd_asleep=' '
  for sd_pid in $(sd_family "${1%.*}"); do
    sd_start "$sd_pid" || continue
    case $sd_stat in T*) sd_asleep="$sd_asleep$sd_pid " ;; esac
  done
  # shellcheck disable=SC2046  # two words for each process
  strace -f -qq -y -s 0 -o "$rec/breaker.trace" -e "trace=$2$sd_more" -e "inject=$2:delay_enter=${4}000000:when=$3" \
    $(sd_family "${1%.*}" | sed 's/^/-p /') 2>"$rec/breaker.said" &
  exec 8<"$rec/breaker.trace"
  sd_text='' sd_counted=''
  while kill -0 "$!" 2>/dev/null; do
    sd_whole=yes
    IFS= read -r sd_line <&8 || sd_whole=
    sd_text=$sd_text$sd_line
    case $sd_counted$sd_text in
      [1-9]*" $2("*)
        sd_counted=yes
        sd_break_counts "${sd_text%% *}" "$3" && { sd_break_hold "$1" "${sd_text%% *}"; sd_break_release "${sd_text%% *}"; return; }
        ;;
    esac
    if [ -n "$sd_whole" ]; then sd_text='' sd_counted=''; else sleep 0.02; fi
  done
}

# Count a call of thread $1; is it the $2th?
sd_break_counts() {
  case $1 in *[!0-9]*) return 1 ;; esac
  eval "sd_calls_$1=\$((\${sd_calls_$1:-0} + 1)); [ \"\$sd_calls_$1\" -eq $2 ]"
}

# Thread $2 of process $1 is held: stop the process with its children, and say so.
sd_break_hold() {
  sd_ours=$(sd_own_pids)
  for sd_pid in $(sd_tree "${1%.*}"); do
    case $sd_asleep in *" $sd_pid "*) continue ;; esac
    sd_start "$sd_pid" || continue
    sd_stopping=$sd_pid.$sd_start
    sd_protected "$sd_pid"
    if [ -z "$sd_why" ] && sd_alive "$sd_stopping"; then printf '%s\n' "$sd_stopping" >>"$rec/stopped" && kill -STOP "$sd_pid"; fi
  done
  sd_now
  sd_last=$(grep "^$2 " "$rec/breaker.trace" | tail -n 2 | cut -c 1-150 | tr -c '[:print:]\n' '?' | sed "s/^$2 *//; s/ <unfinished.*//")
  printf '%s %s %s\n' "$sd_now" "$2" "$(printf '%s' "$sd_last" | tr '\n' ';')" >"$rec/breaker.new" && mv "$rec/breaker.new" "$rec/breaker.come"
}

# Thread $1 is held. strace 6.1 goes on delaying a thread that is killed, which could not end then: end strace as soon as that is seen.
sd_break_release() {
  while kill -0 "$!" 2>/dev/null; do
    ! grep -q "^$1 .* = ?" "$rec/breaker.trace" || kill -KILL "$!"
    sleep 0.05
  done
}

# Wait until it holds, for $1 seconds at most; print "<centiseconds since boot> <thread> <its last calls>". 1: not yet. 2: it cannot come.
sd_break_wait() {
  sd_left=$(($1 * 20))
  until [ -s "$rec/breaker.come" ]; do
    sd_background_runs breaker >/dev/null || { echo "strace has ended: $(tail -n 1 "$rec/breaker.said" 2>/dev/null)"; return 2; }
    [ "$sd_left" -gt 0 ] || return 1
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  cat "$rec/breaker.come"
}

# Is call $2 of process $1 held still, or did the thread end in it? Prints how that is known; fails where it was let go.
sd_break_held() {
  read -r _ sd_tid _ 2>/dev/null <"$rec/breaker.come" || { echo "it has not come"; return 1; }
  sd_last=$(grep "^$sd_tid " "$rec/breaker.trace" | tail -n 1 | cut -c 1-150 | tr -c '[:print:]\n' '?')
  case $sd_last in
    *'+++ killed by '* | *"$2"*' = ?'*) echo "thread $sd_tid ended in it: $sd_last"; return 0 ;;
  esac
  # Threads that were stopped write no more; the last line of one that runs on is another.
  grep "^$sd_tid " "$rec/breaker.trace" | grep "$2" | tail -n 1 | grep -q ' = [-0-9]' && { echo "it was let go: $sd_last"; return 1; }
  if grep -qs '^State:.t' "/proc/${1%.*}/task/$sd_tid/status" && ! grep -qs '^TracerPid:.0$' "/proc/${1%.*}/task/$sd_tid/status"; then
    echo "thread $sd_tid is held before it: $2 has not begun"
  else
    echo "thread $sd_tid is held no more"
    return 1
  fi
}

# Undo of sd_break_at for process $1: who was stopped goes on, then the call.
sd_break_end() {
  read -r sd_one 2>/dev/null <"$rec/helper.breaker" && sd_alive "$sd_one" && kill -KILL "${sd_one%.*}" && sd_gone "$sd_one" 20
  sd_continue_family "$1"
  sd_detach breaker
}

# Evidence that process $1 will be held.
sd_witness_break() {
  sd_background_runs breaker >/dev/null || { echo "strace does not run: $(cat "$rec/breaker.said" 2>/dev/null)"; return 1; }
  sd_attached "${1%.*}" || { echo "process ${1%.*} is not traced"; return 1; }
  echo "strace is attached to process ${1%.*}"
}
