# Verbs on the space of a file system.

# Fill: file $2 takes $3 bytes in the way $1 (sd_fallocate or sd_write_zeroes); then, if $4 is above 0, an unprivileged writer
# adds to it until the file system refuses, at most $4 bytes.
sd_fill() {
  # Never a file that is there already, nor what a link there names.
  (set -C; : >"$2") 2>/dev/null || return 1
  sd_write STEP "file=$2 inode=$(stat -c %i "$2")"
  [ "$3" -le 0 ] || "$1" "$2" "$3" 2>/dev/null
  [ "$4" -gt 0 ] || return 0
  for sd_block in 1048576 4096; do
    sd_as nobody dd if=/dev/zero bs="$sd_block" count=$(($4 / sd_block)) 2>/dev/null >>"$2"
  done
  return 0
}

# Give file $1 $2 bytes, writing nothing. A file system needs some of its free blocks for itself: what it refuses for want of
# space is asked for by halves, down to 1 MiB, so that the time does not grow with the size. Zeroes are the rest, or all of it
# where it knows no fallocate.
sd_fallocate() {
  sd_at=0 sd_part=$2
  while [ "$sd_part" -gt 0 ]; do
    if sd_said=$(fallocate -o "$sd_at" -l "$sd_part" "$1" 2>&1); then
      sd_at=$((sd_at + sd_part))
      [ "$sd_part" -le $(($2 - sd_at)) ] || sd_part=$(($2 - sd_at))
    else
      # shellcheck disable=SC2017  # half of it, in whole blocks
      case $sd_said in *'No space left on device'*) sd_part=$((sd_part / 8192 * 4096)) ;; *) break ;; esac
      [ "$sd_part" -ge 1048576 ] || break
    fi
  done
  [ "$sd_at" -ge "$2" ] || sd_write_zeroes "$1" "$2" "$sd_at"
}

# Write zeroes into file $1 up to its byte $2, from byte $3 on.
sd_write_zeroes() {
  sd_from=$((${3:-0} / 4096))
  dd if=/dev/zero of="$1" bs=4096 conv=notrunc seek="$sd_from" count=$((($2 + 4095) / 4096 - sd_from))
}

# Undo of sd_fill: remove files "$@". The one that the record names by its inode is emptied first, so that its blocks go even
# if it has another name by now, or a reader. It is opened for reading and emptied by its descriptor: never another file.
sd_unlink() {
  sd_read
  sd_value inode
  for sd_path; do
    [ -f "$sd_path" ] && (
      exec 8<"$sd_path" && [ "$(stat -L -c %i /proc/self/fd/8)" = "$sd_value" ] && : >/proc/self/fd/8
    )
  done
  rm -f -- "$@"
}

# Evidence that folder $1 is full for user $2: a fresh write of 4 KiB ends in ENOSPC. The errno's own text comes from dd.
sd_witness_full() {
  sd_probe=$1/.stormdesk-$SD_RUN.probe
  sd_said=$( { : >"$sd_probe" && sd_as "$2" dd if=/dev/zero bs=4096 count=1 conv=fsync >>"$sd_probe"; } 2>&1)
  rm -f -- "$sd_probe"
  case $sd_said in
    *'No space left on device'*) echo "a fresh 4 KiB write as $2 in $1: No space left on device" ;;
    *) echo "a fresh 4 KiB write as $2 in $1 still works"; return 1 ;;
  esac
}

# Before the fault: a fresh write in folder $1 works for user $2.
sd_not_full() {
  ! sd_witness_full "$1" "$2" || { echo "$sd_said"; return 1; }
}

# Evidence that file $2 in folder $1 takes the blocks of $3 bytes; also says how full that is, of what users can have (statvfs).
sd_witness_taken() {
  df -Pk "$1" | tail -n 1 | {
    read -r _ _ sd_used sd_free _
    echo "$1 is at $((100 * sd_used / (sd_used + sd_free))) % ($sd_free KiB left)"
  }
  sd_blocks=$(stat -c '%b %B' "$2") || return 1
  [ $((${sd_blocks% *} * ${sd_blocks#* })) -ge "$3" ]
}

# Before the fault: a file can be made in folder $1.
sd_writable() {
  sd_said=$( (: >"$1/.stormdesk-$SD_RUN.probe") 2>&1) || { echo "$sd_said"; return 1; }
  rm -f -- "$1/.stormdesk-$SD_RUN.probe"
}
