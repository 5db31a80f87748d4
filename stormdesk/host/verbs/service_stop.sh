# Stop a service through its manager, and start it again if our stop is still the latest.

# Stop service $1 of manager $2.
sd_service_stop() {
  : >"$rec/stop.$1" || return
  case $2 in
    systemd) timeout 25 systemctl stop "$1" ;;
    runit) timeout 25 sv -w 20 down "$1" ;;
    docker) timeout 25 docker stop "$1" ;;
    *) timeout 25 supervisorctl stop "$1" ;;
  esac
  sd_service_stopped_at "$1" "$2" >"$rec/stop.$1"
}

# Print since when service $1 of manager $2 has been stopped, according to the manager; supervisord's resolution is a minute.
sd_service_stopped_at() {
  case $2 in
    systemd) systemctl show -p InactiveEnterTimestampMonotonic --value "$1" ;;
    runit)
      # The time of the last change, from its status file: sv prints an age in seconds, which depends on when it is asked.
      for sd_dir in "/etc/service/$1" "/var/service/$1" "/service/$1" "$1"; do
        [ -f "$sd_dir/supervise/status" ] || continue
        printf '@%s\n' "$(head -c 12 "$sd_dir/supervise/status" | od -An -tx1 | tr -d ' \n')"
        break
      done
      ;;
    docker) timeout 10 docker inspect -f '{{.State.FinishedAt}}' "$1" ;;
    *) timeout 10 supervisorctl status "$1" | sed 's/^[^ ]* *//' ;;
  esac
}

# Start service $1 of manager $2 again, unless somebody has started and stopped it since: then that is intended.
sd_service_start_again() {
  [ -f "$rec/stop.$1" ] || [ ! -f "$rec/record" ] || return 0
  sd_service_running "$1" "$2" && return 0
  read -r sd_was 2>/dev/null <"$rec/stop.$1"
  if [ -n "$sd_was" ] && [ "$(sd_service_stopped_at "$1" "$2")" != "$sd_was" ]; then
    # The change is no longer ours.
    sd_note "stopped_by_others=$1"
    [ ! -f "$rec/ours" ] || { grep -vx -- "- service $1 runs" "$rec/ours" >"$rec/ours.new"; mv "$rec/ours.new" "$rec/ours"; }
    return 0
  fi
  sd_service_start "$1" "$2"
}

# Evidence that service $1 of manager $2 is stopped: its manager reports it, and process $3 is gone.
sd_witness_service_stopped() {
  sd_gone "$3" 50 || { echo "process ${3%.*} of $1 is still there"; return 1; }
  ! sd_service_running "$1" "$2" || { echo "$2 says that $1 runs"; return 1; }
  echo "$1 is stopped: $2 says $(sd_service_stopped_at "$1" "$2"), process ${3%.*} is gone"
}

# Is it still stopped?
sd_service_is_stopped() {
  ! sd_service_running "$1" "$2"
}
