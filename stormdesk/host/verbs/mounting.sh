# Bringing a volume back after a power cut.

# Unmount the file system at $1, which is shut down, and mount $2 there again: type $3, options $4. The journal is replayed.
sd_mount_again() (
  exec 7<"$2" || exit  # a loop device may be freed with its last user
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    umount "$1" && break
    sd_ours=$(sd_own_pids)
    for sd_pid in $(sd_on_volume "$1"); do
      sd_protected "$sd_pid"
      [ -n "$sd_why" ] || kill -KILL "$sd_pid"
    done
    sleep 0.2
  done 2>/dev/null
  ! mountpoint -q "$1" && mount -n -t "$3" -o "$4" "$2" "$1"
)

# Undo of sd_cut_power, with the same arguments: stopped processes end or continue, the volume is mounted and works, and its services
# run. One at a time: otherwise one would unmount what the other has mounted.
sd_volume_back() {
  sd_start $$
  sd_me=$$.$sd_start sd_left=400
  until ln -s "$sd_me" "$rec/mounting" 2>/dev/null || [ "$sd_left" = 0 ] || [ ! -d "$rec" ]; do
    sd_one=$(readlink "$rec/mounting") && { sd_alive "$sd_one" || rm -f "$rec/mounting"; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  if ! mountpoint -q "$1"; then
    mount -n -t "$3" -o "$4" "$2" "$1"
  elif sd_dead "$1"; then
    sd_mount_again "$1" "$2" "$3" "$4"
  else
    while read -r sd_one; do sd_alive "$sd_one" && kill -CONT "${sd_one%.*}"; done <"$rec/stopped"
  fi 2>/dev/null
  rm -f -- "$1/.stormdesk-$SD_RUN" "$1/.stormdesk-$SD_RUN.unsynced" "$1/.stormdesk-$SD_RUN.probe"
  [ "$(readlink "$rec/mounting")" != "$sd_me" ] || rm -f "$rec/mounting"
  shift 5
  sd_start_services "$@"
}

# Start the services "$@" (`<manager> <name>`); running ones are left alone.
sd_start_services() {
  sd_names=$(printf '%s\n' "$@" | sed -n 's/^supervisor //p')
  # shellcheck disable=SC2086  # names, one word each
  [ -z "$sd_names" ] || timeout 20 supervisorctl start $sd_names
  sd_names=$(printf '%s\n' "$@" | sed -n 's/^systemd //p')
  # shellcheck disable=SC2086  # names, one word each
  [ -z "$sd_names" ] || { systemctl reset-failed $sd_names; timeout 20 systemctl start $sd_names; } 2>/dev/null
}

# Evidence that the volume at $1 is mounted, works, and has lost exactly what was not synced.
sd_witness_lost() {
  sd_read
  case $sd_history in
    *' synced=there unsynced=gone'*) ;;
    *) echo "lost too much or too little: $sd_history"; return 1 ;;
  esac
  if ! mountpoint -q "$1" || sd_dead "$1"; then echo "$1 does not work"; return 1; fi
  sd_value ended
  echo "mounted again: our synced line is there, our unsynced one is gone; $sd_value processes ended"
}
