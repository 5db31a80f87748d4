# A service's process, and processes that are never targets: recognised by executable and parentage, not by command line.

# Set $sd_manager to the manager of service $1: $2 if that is a known one, else the one that runs it, or "".
sd_manager() {
  sd_manager=$2
  case $2 in supervisor | systemd | runit | docker) return 0 ;; esac
  sd_manager=
  case $(timeout 10 supervisorctl pid "$1" 2>/dev/null) in [1-9]*) sd_manager=supervisor; return 0 ;; esac
  case $(systemctl show -p MainPID --value "$1" 2>/dev/null) in [1-9]*) sd_manager=systemd ;; esac
}

# Set $sd_pids to the main process of service $1, according to its manager $2, or the one that runs it.
sd_service_pids() {
  sd_manager "$1" "$2"
  case $sd_manager in
    supervisor) sd_pids=$(timeout 10 supervisorctl pid "$1" 2>/dev/null) ;;
    systemd) sd_pids=$(systemctl show -p MainPID --value "$1" 2>/dev/null) ;;
    runit) sd_pids=$(sv status "$1" 2>/dev/null | sed -n 's/^run: [^(]*(pid \([0-9]*\)).*/\1/p') ;;
    docker) sd_pids=$(timeout 10 docker inspect -f '{{.State.Pid}}' "$1" 2>/dev/null) ;;
    *) sd_pids= ;;
  esac
  case $?:$sd_pids in
    124:* | 143:*) echo "left-out $sd_manager did not answer within 10 s" ;;  # a busy host, not a missing service
    *:[1-9]*) echo "manager $sd_manager" ;;
    *) echo "left-out ${sd_manager:-no manager here} runs no $1" | tr -d '\000-\011\013-\037\177' ;;
  esac
}

# Set $sd_parent and $sd_session from the fields of stat that follow the name.
sd_session() {
  # shellcheck disable=SC2086  # its fields, one word each
  set -- $1
  sd_parent=$2 sd_session=$4
}

# The pids of runs on this host: watchdogs, arm scripts, helpers.
sd_own_pids() {
  sd_find_base || return 0
  for sd_file in "$sd_base"/r-*/watch.? "$sd_base"/r-*/armer "$sd_base"/r-*/helper.*; do
    read -r sd_one 2>/dev/null <"$sd_file" || continue
    sd_one=${sd_one%% *}
    sd_alive "$sd_one" && echo "${sd_one%.*}"
  done
}

# Set $sd_why to the reason why process $1 is never a target, or "". $sd_ours has the output of sd_own_pids.
sd_protected() {
  sd_why=
  [ "$1" != 1 ] || { sd_why="process 1"; return; }
  sd_exe=$(readlink "/proc/$1/exe" 2>/dev/null)
  sd_exe=${sd_exe% (deleted)}  # a process outlives the upgrade of its program
  case ${sd_exe##*/} in
    sshd | sshd-session | sshd-auth | dropbear | dropbearmulti) sd_why="an SSH server" ;;
    dockerd | containerd | containerd-shim* | conmon | crio) sd_why="a container engine" ;;
    systemd | runsv | runsvdir) sd_why="a service manager" ;;
    python* | pypy*)
      # The interpreter's script: its first argument that is not an option.
      sd_script=$(tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | sed 1d | grep -m 1 -v '^-')
      case ${sd_script##*/} in supervisord | supervisor.supervisord) sd_why="a service manager" ;; esac
      ;;
  esac
  sd_up=$1
  while [ "${sd_up:-0}" -gt 1 ]; do
    for sd_own in $sd_ours; do [ "$sd_own" != "$sd_up" ] || sd_why="Stormdesk itself"; done
    sd_start "$sd_up" || break
    sd_session "$sd_stat"; sd_up=$sd_parent
  done
  sd_up=$$
  while [ "${sd_up:-0}" -gt 1 ]; do
    [ "$sd_up" != "$1" ] || sd_why="what carries this session"
    sd_start "$sd_up" || break
    sd_session "$sd_stat"; sd_up=$sd_parent
  done
}
