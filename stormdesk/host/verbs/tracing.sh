# Verbs that make a process's system calls fail, lie or take long: an attached strace changes their results.

# Can strace inject into system calls here? "yes" or "no: <why>". It is tried on a new process.
sd_trace_able() {
  sd_said=$(strace -f -qq -o /dev/null -e trace=getppid -e inject=getppid:retval=1 true 2>&1) || { echo "no: $(printf '%.160s' "$sd_said" | tr '\n' ' ')"; return; }
  if grep -qs '^3' /proc/sys/kernel/yama/ptrace_scope; then echo 'no: kernel.yama.ptrace_scope is 3: nobody may attach to a process'; else echo yes; fi
}

# Print "<pid>" of each process that is already traced: a process can have only one tracer.
sd_traced() {
  grep -ls '^TracerPid:.*[1-9]' /proc/[0-9]*/status | tr -dc '0-9\n'
}

# Attach strace with options "$4.." to process $1 and its children until the fault is over, and to its successors if it is the process
# of service $2 of manager $3.
sd_trace() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background tracer sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1; sd_base=${rec%/*}; shift; sd_follow "$@"' sh "$rec" "$@" || return
  sd_until_attached "${1%.*}" tracer
}

# Wait until process $1 is traced, by helper $2 of this run.
sd_until_attached() {
  sd_left=100
  until sd_attached "$1"; do
    [ "$sd_left" -gt 0 ] || { echo "strace could not attach: $(cat "$rec/$2.said" 2>/dev/null)"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
}

sd_attached() {
  grep -qs '^TracerPid:.*[1-9]' "/proc/$1/status"
}

# The helper of sd_trace. While the process lives, only strace runs; then the helper looks for its successor every second.
sd_follow() {
  sd_target=$1 sd_of=$2 sd_by=$3
  shift 3
  while :; do
    sd_read; case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
    sd_ours=$(sd_own_pids)
    sd_protected "${sd_target%.*}"
    if [ -z "$sd_why" ] && sd_alive "$sd_target"; then
      printf '%s\n' "$sd_target" >>"$rec/tracer.targets"
      # shellcheck disable=SC2046  # two words for each process
      strace -f -qq $(sd_family "${sd_target%.*}" | sed 's/^/-p /') -o /proc/self/fd/1 "$@" 2>"$rec/tracer.said" | sd_count_hits
    fi
    [ -n "$sd_of" ] || exit
    sleep 1
    sd_service_pids "$sd_of" "$sd_by" >/dev/null
    for sd_pid in $sd_pids; do sd_start "$sd_pid" && sd_target=$sd_pid.$sd_start; done
  done
}

# Print process $1 and its descendants. (Not with awk on the files: a process that ends meanwhile would abort it.)
sd_family() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v top="$1" '{ pid = $1; sub(/^.*\) /, ""); parent[pid] = $2 }
    END { for (p in parent) { for (q = p; q + 0 > 1 && q != top; q = parent[q]); if (q == top) print p } }'
}

# Count the calls that strace reports as injected or delayed.
sd_count_hits() {
  read -r sd_hits 2>/dev/null <"$rec/tracer.hits" || sd_hits=0
  while read -r sd_line; do
    case $sd_line in *'(INJECTED)'* | *'(DELAYED)'*) sd_hits=$((sd_hits + 1)); echo "$sd_hits" >"$rec/tracer.hits" ;; esac
  done
}

# Undo of sd_trace.
sd_trace_end() {
  sd_detach tracer
  read -r sd_hits 2>/dev/null <"$rec/tracer.hits" && sd_note "hits=$sd_hits"
  [ ! -f "$rec/tracer.targets" ] || sd_note "traced=$(sort -u "$rec/tracer.targets" | tr '\n' ,)"
}

# The strace of helper $1 detaches by itself, so that no call is left half-way; then the helper is killed. The processes keep running.
sd_detach() {
  read -r sd_one 2>/dev/null <"$rec/helper.$1" && sd_alive "$sd_one" && kill -KILL "${sd_one%.*}"
  sd_left=20
  while [ "$sd_left" -gt 0 ]; do
    sd_found=
    # shellcheck disable=SC2013  # names without spaces
    for sd_file in $(grep -ls "STORMDESK_RUN=$SD_RUN" /proc/[0-9]*/environ); do
      case $(readlink "${sd_file%environ}exe") in */strace) sd_found=${sd_file#/proc/}; kill -TERM "${sd_found%/environ}" ;; esac
    done
    [ -n "$sd_found" ] || break
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  sd_background_end "$1"
}

# Evidence that this run's helper traces process $1; prints the number of changed calls, waiting a second for the first one.
sd_witness_trace() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -s "$rec/tracer.hits" ] || break
    sleep 0.1
  done
  sd_background_runs tracer >/dev/null || { echo "strace does not run"; return 1; }
  sd_attached "${1%.*}" || { echo "process ${1%.*} is not traced: $(cat "$rec/tracer.said" 2>/dev/null)"; return 1; }
  read -r sd_hits 2>/dev/null <"$rec/tracer.hits" || sd_hits=0
  echo "strace is attached to process ${1%.*}; $sd_hits calls changed so far"
}

# Baseline: process $1 lives and is not traced.
sd_untraced() {
  sd_alive "$1" || { echo "process ${1%.*} has ended"; return 1; }
  ! sd_attached "${1%.*}" || { echo "process ${1%.*} is already traced"; return 1; }
}

# Does the helper still run, on whichever process the service has now?
sd_still_traced() {
  sd_background_runs tracer
}
