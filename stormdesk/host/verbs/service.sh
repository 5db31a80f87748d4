# Verbs on services and their managers.

# Service $1 of manager $3 runs again, by its own manager if that needs no more than $2 seconds from the inject; else we start
# it and say so: that the manager did not is what the run wanted to know.
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
      # A unit that has used up its starts is refused another one until it is reset.
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
