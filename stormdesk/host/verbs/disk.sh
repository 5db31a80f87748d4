# Verbs on the space of a file system.

# Fill: file $1 takes $2 bytes; then, if $3 is above 0, an unprivileged writer adds to it until the file system refuses,
# at most $3 bytes. fallocate first: it is at once and writes nothing; dd where the file system knows no fallocate.
sd_fill() {
  : >"$1" || return 1
  sd_write STEP "file=$1 inode=$(stat -c %i "$1")"
  if [ "$2" -gt 0 ] && ! fallocate -l "$2" "$1" 2>/dev/null; then
    dd if=/dev/zero of="$1" bs=65536 count=$(($2 / 65536)) 2>/dev/null
  fi
  [ "$3" -gt 0 ] || return 0
  for sd_block in 1048576 4096; do
    sd_as nobody dd if=/dev/zero bs="$sd_block" count=$(($3 / sd_block)) 2>/dev/null >>"$1"
  done
  return 0
}

sd_unlink() {
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

# Evidence that at least $2 percent of what users can have on $1 is used (statvfs).
sd_witness_used() {
  df -Pk "$1" | tail -n 1 | {
    read -r _ _ sd_used sd_free _
    echo "$1 is at $((100 * sd_used / (sd_used + sd_free))) % ($sd_free KiB left)"
    [ $((100 * sd_used)) -ge $((($2 - 1) * (sd_used + sd_free))) ]
  }
}
