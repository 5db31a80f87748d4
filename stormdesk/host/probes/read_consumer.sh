# <metrics URL>: a reader's own numbers. It is watched until it is at the end of the bus, at most 5 s.
waited=0
while :; do
  metrics=$(curl -sS -f -m 3 "$1") || exit 1
  case $metrics in *"
bus_consumer_lag 0"*) break ;; esac
  [ "$waited" -lt 25 ] || break
  waited=$((waited + 1))
  sleep 0.2
done
{ printf '%s\n' "$metrics" | grep '^bus_'; echo "exit $?" >&2; } | pack
