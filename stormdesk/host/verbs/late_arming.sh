# Keep out an arming that may still come, and remove what one left that never was complete.

# Remove a record that never came as far as INTENT, and a durable one that never was complete: nothing was done for it.
# Its locks go too.
sd_discard() {
  rm -rf "${rec:?}"
  sd_let_go
  rmdir "$sd_base" 2>/dev/null
}

# The locks and the durable record of a run that never came as far as INTENT.
sd_let_go() {
  sd_unlock
  [ ! -d "$sd_durable" ] || { rm -rf "${sd_durable:?}/${SD_RUN:?}"; sd_boot_hook_remove; }
}

# Nothing of the run is known here, but until $1 (centiseconds since boot) its arming may still come: a script in the buffer
# of a link that hung. The record's folder is taken in its place, claim and all: an arming that comes is refused, one that is
# at work cannot inject any more. It goes by itself, or by sd_sweep. Fails when it could not be made.
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
  # Not in an argument: a process that names a record is taken for one that works on it.
  {
    trap '' HUP
    sleep $((($1 - sd_now + 199) / 100))
    sd_sweep
  } </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
}

# Remove the folders that only kept an arming out, once none can come any more.
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
