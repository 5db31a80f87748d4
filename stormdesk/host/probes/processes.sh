# sh processes.sh <service> <pid file> ...: a line for each service that runs: its name, pid, start time, and how often
# supervisord says to have started it, or - where it keeps no log.
log=/var/log/supervisor/supervisord.log
while [ $# -gt 1 ]; do
  name=$1 file=$2
  shift 2
  read -r pid 2>/dev/null <"$file" || continue
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
  # shellcheck disable=SC2086  # its fields, one word each
  start=$(set -- ${stat##*) }; echo "${20}")
  spawns=-
  [ ! -f $log ] || spawns=$(cat $log.1 $log 2>/dev/null | grep -c "spawned: '$name' with")
  echo "$name $pid $start $spawns"
done
exit 0
