# Verbs on services and their managers.

# Wait until service $1 runs again. Its own manager $3 has $2 seconds from the inject; after that we start it and record it: a
# manager that fails to restart it is a finding of the run.
sd_service_back() {
  sd_service_running "$1" "$3" && { sd_service_note manager; return 0; }
  sd_value injected_at
  sd_now
  [ "$sd_now" -ge $((sd_value + $2 * 100)) ] || return 0
  sd_service_start "$1" "$3"
  sd_service_note stormdesk
}

sd_service_start() {
  case $2 in
    systemd)
      # systemd refuses to start a unit that has hit its start limit until it is reset.
      systemctl reset-failed "$1" 2>/dev/null
      timeout 20 systemctl start "$1"
      ;;
    runit) timeout 20 sv up "$1" ;;
    docker) timeout 20 docker start "$1" ;;
    *) timeout 20 supervisorctl start "$1" ;;
  esac
}

sd_service_running() {
  case $2 in
    systemd) systemctl -q is-active "$1" ;;
    runit) sv status "$1" | grep -q '^run:' ;;
    docker) [ "$(timeout 10 docker inspect -f '{{.State.Running}}' "$1")" = true ] ;;
    *) timeout 10 supervisorctl status "$1" | grep -q RUNNING ;;
  esac
}

sd_service_note() {
  sd_read
  sd_value started_by
  [ -n "$sd_value" ] || sd_write STEP "started_by=$1"
}
