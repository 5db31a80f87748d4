# A frozen host: only what keeps it reachable still runs.

# Stop every process except PID 1, SSH servers, managers, log-in services, container engines, what carries our session, and Stormdesk
# itself. Repeated until there are no new ones.
sd_freeze_host() {
  sd_round=0
  while [ "$sd_round" -lt 8 ]; do
    sd_more=
    for sd_pid in $(sd_freezable); do
      sd_start "$sd_pid" || continue
      case $sd_stat in T*) continue ;; esac
      printf '%s\n' "$sd_pid.$sd_start" >>"$rec/stopped" || return
      ! kill -STOP "$sd_pid" 2>/dev/null || sd_more=yes
    done
    [ -n "$sd_more" ] || break
    sd_round=$((sd_round + 1))
    sleep 0.1
  done
}

# Print the pids of running processes that may be stopped. Forks little, however many there are, since the host may be busy.
sd_freezable() {
  sd_ours=$(sd_own_pids)
  # shellcheck disable=SC2012  # names of links in /proc
  ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's|^.* /proc/\([0-9]*\)/exe -> \(.*\)$|exe \1 \2|p' |
    { cat; cat /proc/[0-9]*/stat 2>/dev/null; } | awk -v us="$$" -v ours="$sd_ours" '
    $1 == "exe" {
      exe = $3; sub(/ \(deleted\)$/, "", exe); runs[$2] = exe
      n = split(exe, part, "/"); name = part[n]
      if (name ~ /^(sshd|sshd-session|sshd-auth|dropbear|dropbearmulti|dockerd|containerd|containerd-shim.*|conmon|crio|systemd.*|dbus-daemon|dbus-broker.*|runsv|runsvdir|agetty)$/ || exe ~ /^(\/usr)?\/lib\/systemd\//) keep[$2] = 1
      if (name ~ /^(sshd|dropbear)/) ssh[$2] = 1
      if (name ~ /^(python|pypy)/) ask[$2] = 1
      next
    }
    { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; if ($1 !~ /[TZX]/) order[++n_order] = pid }
    END {
      keep[1] = 1
      # Every process of our own SSH connection: other commands use it too.
      for (pid = us; pid > 1; pid = parent[pid]) { keep[pid] = 1; if (pid in ssh && !came) { came = 1; below[pid] = 1 } }
      n = split(ours, own, "\n"); for (i = 1; i <= n; i++) below[own[i]] = 1
      below[us] = 1
      for (i = 1; i <= n_order; i++) {
        pid = order[i]
        if (!(pid in runs) || (pid in keep)) continue
        for (up = pid; up > 1 && !(up in below); up = parent[up]);
        if (up <= 1) print ((pid in ask) ? "ask " : "") pid
      }
    }' | while read -r sd_word sd_pid; do
    # A manager may be an interpreter's script.
    [ "$sd_word" != ask ] || { sd_protected "$sd_pid"; [ -z "$sd_why" ] || continue; sd_word=$sd_pid; }
    echo "$sd_word"
  done
}

# Continue every process that we stopped. If the record is gone, and with it their list, continue every process: a host that stays
# frozen would be worse. Shell builtins only.
sd_thaw_host() {
  if [ -f "$rec/record" ]; then sd_continue_family ''; else kill -CONT -1; fi
}

# Baseline: there is a process that may be stopped.
sd_can_freeze() {
  [ -n "$(sd_freezable)" ] || { echo "there is no process that may be stopped"; return 1; }
}

# Evidence that this host is frozen: the processes that we stopped are stopped, and no others that may be stopped are running.
sd_witness_frozen() {
  sd_left=20
  until sd_count_stopped && [ "$sd_running" = 0 ]; do
    [ "$sd_left" -gt 0 ] || { echo "$sd_count processes are stopped, $sd_running still run"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.1
  done
  [ "$sd_count" -gt 0 ] || { echo "nothing is stopped"; return 1; }
  sd_rest=$(sd_freezable | wc -l)
  echo "$sd_count processes are stopped, $((sd_rest)) that may be stopped still run"
  [ "$sd_rest" -le 2 ]
}

# Of the processes that we stopped, set $sd_count to the number still stopped and $sd_running to the rest. Fail if we stopped none.
sd_count_stopped() {
  sd_count=0 sd_running=0
  [ -f "$rec/stopped" ] || return 1
  while read -r sd_one; do
    sd_alive "$sd_one" || continue
    case $sd_stat in T*) sd_count=$((sd_count + 1)) ;; *) sd_running=$((sd_running + 1)) ;; esac
  done <"$rec/stopped"
}

# Are most of them still stopped?
sd_still_frozen() {
  sd_count_stopped && [ "$sd_count" -gt "$sd_running" ]
}
