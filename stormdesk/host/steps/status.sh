# Print every record on this host, the locks and the halt; after lib.sh, in the open shell. Changes nothing. What only keeps
# a late arming out is no record.
sd_identity
sd_find_base || { echo "base none"; exit 0; }
sd_now
echo "base $sd_base"
echo "now $sd_now"
[ ! -e "$sd_base/halt" ] || printf 'halt %s\n' "$(cat "$sd_base/halt")"
for rec in "$sd_base"/r-*/ "$sd_durable"/r-*/; do
  rec=${rec%/}
  [ -d "$rec" ] || continue
  [ ! -e "$rec/fenced" ] || [ -e "$rec/record" ] || continue
  case $rec in "$sd_durable"/*) [ ! -d "$sd_base/${rec##*/}" ] || continue ;; esac
  echo "run ${rec##*/} ${rec%/*}"
  for letter in a b; do
    read -r id 2>/dev/null <"$rec/watch.$letter" && sd_alive "${id%% *}" && echo "watchdog ${id%% *}"
  done
  sd_read && printf '%s' "$sd_history" | sed 's/^/line /'
done
for lock in "$sd_base"/lock.*; do
  [ ! -L "$lock" ] || echo "lock ${lock##*/lock.} $(readlink "$lock")"
done
