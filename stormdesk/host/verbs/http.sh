# Verbs on faults that a service keeps by itself, asked for over HTTP.

# Put a fault in that a service of the host keeps by itself, by asking it with "$2..". File $1 is there until the service has
# said that the fault is over.
sd_ask_for() {
  : >"$1" || return 1
  shift
  "$@"
}

# Ask the service with "$2.." to end the fault, then file $1 goes; the answer ends with http=<status>. A service that never
# heard of the fault, or that does not listen any more (7), has no such fault: they live in its memory alone.
sd_ask_to_end() {
  [ -e "$1" ] || return 0
  sd_mark=$1
  shift
  sd_said=$("$@" 2>/dev/null)
  case $?.${sd_said##* http=} in
    0.200) sd_hits=${sd_said#*\"hits\":}; sd_note "hits=${sd_hits%%[!0-9]*}" ;;
    0.404 | 7.*) ;;
    *) return 1 ;;
  esac
  rm -f -- "$sd_mark"
}

# Evidence that a fault that a service keeps strikes: "$@" asks for it, and "hits" counts. Somebody must come and be struck,
# so it may take a while.
sd_witness_hits() {
  sd_now; sd_until=$((sd_now + 900))
  while :; do
    sd_said=$("$@" 2>&1)
    sd_hits=${sd_said#*\"hits\":}
    sd_hits=${sd_hits%%[!0-9]*}
    [ "${sd_hits:-0}" -eq 0 ] || { echo "$sd_hits hits so far"; return 0; }
    sd_now
    [ "$sd_now" -lt "$sd_until" ] || { echo "nothing was hit: $(printf '%.160s' "$sd_said")"; return 1; }
    sleep 0.2
  done
}
