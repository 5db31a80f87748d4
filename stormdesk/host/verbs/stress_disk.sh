# Load: a disk. What makes it is helper "stressor" of the run, as in stress.sh.

# In the new folder $1, $2 processes write $3 MiB to a file and sync it, in a loop.
sd_write_again() {
  mkdir -m 700 -- "$1" || return
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background stressor sh -c 'cd "$1" || exit; left=$2
    while [ "$left" -gt 0 ]; do
      while dd if=/dev/zero of="data.$left" bs=1M count="$3" conv=fsync,notrunc 2>/dev/null; do echo >>"done.$left"; done &
      left=$((left - 1))
    done
    wait' sh "$1" "$2" "$3"
}

# The same by stress-ng. Its files have no names.
sd_write_again_ng() {
  mkdir -m 700 -- "$1" || return
  sd_background stressor stress-ng --quiet --hdd "$2" --hdd-bytes "${3}m" --hdd-opts wr-seq,fsync --temp-path "$1"
}

# Remove folder $1, which we created.
sd_written_away() {
  rm -rf -- "$1"
}

# Evidence that files in folder $1 are rewritten in a loop, $2 MiB each time.
sd_witness_writes() {
  sd_writes_on sd_completed "$@"
}

# Evidence of that, where it leaves nothing in folder $1 that tells it.
sd_witness_written() {
  sd_writes_on sd_written "$@"
}

# Does what $1 counts grow by a file of $3 MiB or more? The rate over at least a second.
sd_writes_on() {
  sd_now
  sd_now0=$sd_now
  "$@" || { echo "the stressor does not run"; return 1; }
  sd_before=$sd_mib
  sleep 1
  while "$@" && [ $((sd_mib - sd_before)) -lt "$3" ]; do
    sd_now
    [ $((sd_now - sd_now0)) -lt 900 ] || { echo "$((sd_mib - sd_before)) MiB were written in nine seconds"; return 1; }
    sleep 0.2
  done
  sd_now
  sd_psi=
  read -r sd_psi 2>/dev/null </proc/pressure/io
  echo "the stressor writes $(((sd_mib - sd_before) * 100 / (sd_now - sd_now0))) MiB/s to $2; pressure: $sd_psi"
}

# Set $sd_mib: how much was written to folder $1 so far, of files of $2 MiB that are complete.
sd_completed() {
  sd_mib=$(($(cat "$1"/done.* 2>/dev/null | wc -l) * $2))
}

# Set $sd_mib: how much the stressor's processes have written since they began. Those in its session alone.
sd_written() {
  read -r sd_one 2>/dev/null <"$rec/helper.stressor" || return 1
  sd_mib=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="${sd_one%.*}" '
    { pid = $1; sub(/^.*\) /, ""); if ($4 != session) next
      while ((getline line < ("/proc/" pid "/io")) > 0) if (sub(/^wchar: /, "", line)) bytes += line
      close("/proc/" pid "/io") }
    END { printf "%d", bytes / 1048576 }')
}
