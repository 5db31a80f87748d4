# Verbs on faults inside a service, controlled over HTTP.

# Start a fault inside a service of the host with request "$2..". File $1 exists until the service has confirmed the end of the
# fault.
sd_ask_for() {
  : >"$1" || return 1
  shift
  "$@"
}

# End the fault with request "$2..", then remove file $1; the answer ends with http=<status>. A service that does not know the
# fault, or that no longer listens (7), does not have it: faults live in its memory only.
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

# Evidence that a fault inside a service takes effect: "$@" queries it, and its "hits" count. Some client has to be affected
# first, so it may take a while.
sd_witness_hits() {
  sd_now; sd_until=$((sd_now + 900))
  while :; do
    sd_said=$("$@" 2>&1)
    sd_hits=${sd_said#*\"hits\":}
    sd_hits=${sd_hits%%[!0-9]*}
    [ "${sd_hits:-0}" -eq 0 ] || { echo "$sd_hits hits so far"; return 0; }
    sd_now
    [ "$sd_now" -lt "$sd_until" ] || { echo "no hits: $(printf '%.160s' "$sd_said")"; return 1; }
    sleep 0.2
  done
}
