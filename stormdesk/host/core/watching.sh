# Starting watchdogs.

# Start watchdog $1 of this run, whose peer is $2, out of this log-in: where systemd ends what a log-in started, as a unit of its
# own. Every descriptor but 0-2 stays behind: a child that holds the channel's would keep the connection open.
sd_start_watchdog() {
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    sd_now
    # It ignores SIGTERM, and a shutdown must not wait for it.
    timeout 5 systemd-run --quiet --collect --unit="stormdesk-$SD_RUN-$1-$sd_now" --property=KillSignal=SIGKILL \
      sh "$rec/watchdog.sh" "$rec" "$1" "$2" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- && return 0
  fi
  setsid sh "$rec/watchdog.sh" "$rec" "$1" "$2" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
}

# End both watchdogs, and what they wait with: opening and closing a pipe wakes who still waits for its other end.
sd_end_watchdogs() {
  for sd_letter in a b; do
    read -r sd_one 2>/dev/null <"$rec/watch.$sd_letter" && sd_alive "${sd_one%% *}" && kill -KILL "${sd_one%%.*}" 2>/dev/null
    [ ! -p "$rec/life.$sd_letter" ] || : 1<>"$rec/life.$sd_letter"
  done
}
