# Verbs on the space of a file system.

# Fill: allocate $3 bytes to file $2 with $1 (sd_fallocate or sd_write_zeroes); then, if $4 is above 0, an unprivileged writer
# appends up to $4 bytes until the file system refuses.
sd_fill() {
  # Never an existing file, nor the target of a link.
  (set -C; : >"$2") 2>/dev/null || return 1
  sd_write STEP "file=$2 inode=$(stat -c %i "$2")"
  [ "$3" -le 0 ] || "$1" "$2" "$3" 2>/dev/null
  [ "$4" -gt 0 ] || return 0
  for sd_block in 1048576 4096; do
    sd_as nobody dd if=/dev/zero bs="$sd_block" count=$(($4 / sd_block)) 2>/dev/null >>"$2"
  done
  return 0
}

# Allocate $2 bytes to file $1 without writing. A file system needs some of its free blocks for metadata: a size refused for lack of
# space is halved, down to 1 MiB, so that the time does not grow with the size. The rest is written as zeroes, or all of it if the
# file system lacks fallocate.
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

# Write zeroes to file $1 from byte $3 up to byte $2.
sd_write_zeroes() {
  sd_from=$((${3:-0} / 4096))
  dd if=/dev/zero of="$1" bs=4096 conv=notrunc seek="$sd_from" count=$((($2 + 4095) / 4096 - sd_from))
}

# Undo of sd_fill: remove files "$@". The one whose inode the record has is truncated first, so that its blocks are freed even if
# it was renamed or is open. It is opened for reading and truncated through its descriptor, so it is never a different file.
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

# Evidence that folder $1 is full for user $2: writing a new 4 KiB file fails with ENOSPC, whose text dd prints.
sd_witness_full() {
  sd_probe=$1/.stormdesk-$SD_RUN.probe
  sd_said=$( { : >"$sd_probe" && sd_as "$2" dd if=/dev/zero bs=4096 count=1 conv=fsync >>"$sd_probe"; } 2>&1)
  rm -f -- "$sd_probe"
  case $sd_said in
    *'No space left on device'*) echo "a fresh 4 KiB write as $2 in $1: No space left on device" ;;
    *) echo "a fresh 4 KiB write as $2 in $1 still works"; return 1 ;;
  esac
}

# Baseline: user $2 can write a new file in folder $1.
sd_not_full() {
  ! sd_witness_full "$1" "$2" || { echo "$sd_said"; return 1; }
}

# Evidence that file $2 in folder $1 occupies the blocks of $3 bytes; also prints how full that is, as users see it (statvfs).
sd_witness_taken() {
  df -Pk "$1" | tail -n 1 | {
    read -r _ _ sd_used sd_free _
    echo "$1 is at $((100 * sd_used / (sd_used + sd_free))) % ($sd_free KiB left)"
  }
  sd_blocks=$(stat -c '%b %B' "$2") || return 1
  [ $((${sd_blocks% *} * ${sd_blocks#* })) -ge "$3" ]
}

# Baseline: a file can be created in folder $1.
sd_writable() {
  sd_said=$( (: >"$1/.stormdesk-$SD_RUN.probe") 2>&1) || { echo "$sd_said"; return 1; }
  rm -f -- "$1/.stormdesk-$SD_RUN.probe"
}
