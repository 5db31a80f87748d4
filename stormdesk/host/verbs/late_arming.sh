# Fence off an arm script that may still arrive, and clean up after an incomplete one.

# Remove a record that never reached INTENT, and an incomplete durable one: nothing was done for it. Its locks go too.
sd_discard() {
  rm -rf "${rec:?}"
  sd_let_go
  rmdir "$sd_base" 2>/dev/null
}

# Remove the locks and the durable record of a run that never reached INTENT.
sd_let_go() {
  sd_unlock
  [ ! -d "$sd_durable" ] || { rm -rf "${sd_durable:?}/${SD_RUN:?}"; sd_boot_hook_remove; }
}

# The run is unknown here, but until $1 (centiseconds since boot) its arm script may still arrive, from the buffer of a link that
# hung. Create the record's folder and the claim in its place: an arm script that arrives is refused, and one already running can no
# longer inject. It is removed by itself, or by sd_sweep. Fails if it cannot be created.
sd_keep_out() {
  sd_now
  if [ "$sd_now" -gt "$1" ]; then
    [ -e "$rec/fenced" ] || sd_discard
    return 0
  fi
  mkdir -p "$sd_base" "$rec" 2>/dev/null
  ln -s fenced "$rec/go" 2>/dev/null
  [ "$(readlink "$rec/go")" = fenced ] || return 1
  echo "$1" >"$rec/fenced"
  for sd_file in "$rec"/*; do
    case ${sd_file##*/} in go | fenced) ;; *) rm -rf "$sd_file" ;; esac
  done
  sd_let_go
  # Not as an argument: a process that names a record counts as working on it.
  {
    trap '' HUP
    sleep $((($1 - sd_now + 199) / 100))
    sd_sweep
  } </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
}

# Remove the folders that only fenced off an arm script, once none can arrive any more.
sd_sweep() {
  sd_now
  for sd_file in "$sd_base"/r-*/fenced; do
    [ -e "$sd_file" ] && [ ! -e "${sd_file%/*}/record" ] || continue
    read -r sd_until <"$sd_file" || sd_until=0
    [ "$sd_now" -le "$sd_until" ] || rm -rf "${sd_file%/*}"
  done
  rmdir "$sd_base" 2>/dev/null
  return 0
}
