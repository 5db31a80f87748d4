# Our own background processes, which run for as long as the fault is in.

# Run "$2.." in the background as helper $1 of this run, in its own session. Its environment names the run, so that it and its
# descendants can be found even if they leave that session, or if we are killed before the identity is recorded.
sd_background() {
  sd_helper=$1
  shift
  # shellcheck disable=SC2016  # the inner shell expands it
  STORMDESK_RUN=$SD_RUN setsid sh -c '. "$1/lib.sh"; rec=$1
    sd_start $$; printf "%s\n" "$$.$sd_start" >"$rec/helper.$2"
    # From here on a reverter can find us; one that began earlier has killed us already or will see this file.
    sd_read; case $sd_state in INJECTING | INJECTED) ;; *) exit ;; esac
    ! read -r sd_group 2>/dev/null <"$rec/group" || echo 0 >"$sd_group/cgroup.procs" || exit
    shift 2; exec "$@"' sh "$rec" "$sd_helper" "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  # Return only once it is recorded, so that the next step and the witness find it.
  sd_left=100
  until [ -s "$rec/helper.$sd_helper" ]; do
    [ "$sd_left" -gt 0 ] || { echo "$sd_helper did not start"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.02
  done
}

# Kill helper $1 of this run and all of its descendants.
sd_background_end() {
  if read -r sd_one 2>/dev/null <"$rec/helper.$1" && sd_alive "$sd_one"; then kill -KILL "-${sd_one%.*}"; fi
  grep -ls "STORMDESK_RUN=$SD_RUN" /proc/[0-9]*/environ | while IFS=/ read -r _ _ sd_pid _; do kill -KILL "$sd_pid" 2>/dev/null; done
  sd_gone "$sd_one" 20
}

# Evidence that helper $1 runs.
sd_background_runs() {
  if read -r sd_one 2>/dev/null <"$rec/helper.$1" && sd_alive "$sd_one"; then
    echo "$1 runs, pid ${sd_one%.*}"
  else
    echo "$1 does not run"
    return 1
  fi
}
