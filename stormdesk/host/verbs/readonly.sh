# Verbs that make a file system read-only.

# Print "writer <pid>" for each process with a file on the file system of $1 open for writing, which makes the kernel refuse a remount.
sd_writers() {
  sd_device "$1" || return
  sd_open=$(printf '%s\n' /proc/[0-9]*/fd/* | xargs stat -L -c '%d %n' 2>/dev/null | sed -n "s|^$sd_dev ||p")
  # The mode of a descriptor's link shows its access mode.
  # shellcheck disable=SC2086  # names without spaces
  [ -z "$sd_open" ] || stat -c '%a %n' $sd_open 2>/dev/null | sed -n 's|^[37][0-9]* /proc/\([0-9]*\)/.*|writer \1|p' | sort -u
  return 0
}

# Bind-mount folder $1 over itself, read-only. Open files stay writable.
sd_cover_read_only() {
  mount -n --bind "$1" "$1" && mount -n -o remount,bind,ro "$1"
}

# Undo of sd_cover_read_only: folder $1, $2 mounts on it without ours. Writes work again at once.
sd_uncover() {
  sd_point=$(sd_mount_point "$1")
  while [ "$(SD_AT=$sd_point awk '$5 == ENVIRON["SD_AT"] { n++ } END { print n + 0 }' /proc/self/mountinfo)" -gt "$2" ]; do
    mount -n -o remount,bind,rw "$1"
    umount "$1" 2>/dev/null || umount -l "$1" || return
  done
}

# Evidence that nothing can be written to folder $1.
sd_witness_read_only() {
  sd_said=$( (: >"$1/.stormdesk-$SD_RUN.probe") 2>&1)
  case $?.$sd_said in
    0.*) rm -f -- "$1/.stormdesk-$SD_RUN.probe"; echo "a file in $1 can still be created"; return 1 ;;
    *'Read-only file system'*) echo "a new file in $1: Read-only file system" ;;
    *) echo "$sd_said"; return 1 ;;
  esac
}
