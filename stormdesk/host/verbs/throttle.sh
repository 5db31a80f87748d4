# How fast the processes of a control group read and write a disk: the throttle of blkio (version 1), or io.max (version 2).

# Print "<major>:<minor>" of the disk that holds $1, of a partition that of the whole disk, as the throttle knows no others; else "no: <why>".
sd_disk_of() {
  sd_device "$1" || return
  if [ ! -d "/sys/dev/block/$sd_number" ]; then  # a subvolume has a number of its own
    sd_source=$(df -P "$1" | sed -n '$s/ .*//p')
    [ -b "$sd_source" ] || { echo "no: it is on no disk of this host, but on $sd_source"; return; }
    sd_number=$(stat -L -c '%t %T' "$sd_source")
    sd_number=$((0x${sd_number% *})):$((0x${sd_number#* }))
  fi
  [ ! -e "/sys/dev/block/$sd_number/partition" ] || read -r sd_number <"/sys/dev/block/$sd_number/../dev"
  echo "$sd_number"
}

# As `sd_processes "$@"`, and the control group in which the process can be throttled: "group blkio <folder>", below which a group for it
# can be made, or "group io <folder>", which it has for itself; else "group no: <why>".
sd_target_throttle() {
  sd_said=$(sd_processes "$@")
  printf '%s\n' "$sd_said"
  sd_top=$(printf '%s\n' "$sd_said" | sed -n 's/^\([0-9]*\)\.[0-9]* .*/\1/p')
  case $sd_top in '' | *[!0-9]*) return ;; esac
  sd_kind=blkio
  if ! sd_cgroup "$sd_top" blkio || [ ! -w "$sd_group/blkio.throttle.read_bps_device" ]; then
    sd_kind=io
    sd_said=$(sd_own_group "$sd_top" blkio io.max) || { echo "$sd_said"; return; }
  fi
  # A process that moves would lose a limit that its group has.
  if grep -qs . "$sd_group"/blkio.throttle.*_device "$sd_group/io.max"; then echo "group no: $sd_group is throttled already"; return; fi
  echo "group $sd_kind $sd_group"
}

# Limit what process $1 and its children read or write ($4) of disk $3 to $5 bytes and $6 operations a second, 0 for no limit: in the
# new control group $2. Those that are in another group than the process stay there.
sd_throttle() {
  mkdir "$2" || return
  sd_limit_device "$2/blkio.throttle.$4_bps_device" "$3" "$5" && sd_limit_device "$2/blkio.throttle.$4_iops_device" "$3" "$6" || return
  sd_alive "$1" || return 0
  sd_ours=$(sd_own_pids)
  sd_more=yes sd_round=0
  # It is looked again until there are no new ones: one that is not in it yet may fork.
  while [ -n "$sd_more" ] && [ "$sd_round" -lt 10 ]; do
    sd_more='' sd_round=$((sd_round + 1))
    sd_inside=$(cat "${2%/*}/cgroup.procs")
    for sd_pid in $(sd_tree "${1%.*}"); do
      case $sd_newline$sd_inside$sd_newline in *"$sd_newline$sd_pid$sd_newline"*) ;; *) continue ;; esac
      sd_protected "$sd_pid"
      [ -n "$sd_why" ] || ! printf '%s\n' "$sd_pid" 2>/dev/null >"$2/cgroup.procs" || sd_more=yes
    done
  done
}

# Set the limit of device $2 in file $1 to $3, 0 for none.
sd_limit_device() {
  [ "$3" != 0 ] || return 0
  printf '^%s.%s$ %s\n' "$2" "$3" "$1" >>"$rec/marks" && printf '%s %s\n' "$2" "$3" >"$1"
}

# The control group $1 of ours is gone, and its processes are again in the one above it, which they came from; so is the file $2. The
# limits go first: what waits for them is let through. Shell builtins, rmdir and rm.
sd_unthrottle() {
  sd_left=50
  while [ -d "$1" ] && [ "$sd_left" -gt 0 ]; do
    for sd_file in "$1"/blkio.throttle.*_device; do
      while read -r sd_number _; do printf '%s 0\n' "$sd_number" >"$sd_file"; done <"$sd_file"
    done
    while read -r sd_pid; do printf '%s\n' "$sd_pid" >"${1%/*}/cgroup.procs"; done <"$1/cgroup.procs"
    rmdir "$1" 2>/dev/null || sleep 0.05
    sd_left=$((sd_left - 1))
  done
  rm -f -- "$2"
}

# Limit device $2 in the control group $1 of version 2 by the words $3, such as `wbps=1048576 wiops=100`.
sd_set_io_max() {
  for sd_word in $3; do printf '^%s.*%s %s\n' "$2" "$sd_word" "$1/io.max" >>"$rec/marks" || return; done
  printf '%s %s\n' "$2" "$3" >"$1/io.max"
}

# None of these limits is there any more, unless somebody has set another one since; nor file $4. Shell builtins, and rm.
sd_unset_io_max() {
  while read -r sd_number sd_limits; do
    [ "$sd_number" = "$2" ] || continue
    for sd_word in $3; do
      case " $sd_limits " in *" $sd_word "*) printf '%s %s=max\n' "$2" "${sd_word%=*}" >"$1/io.max" ;; esac
    done
  done 2>/dev/null <"$1/io.max"
  rm -f -- "$4"
}

# Set $sd_took to the centiseconds, at most $5, in which a process of control group $1 ("": of ours) reads or writes ($3) $4, `<blocks>
# <bytes each>`, of file $2 past the page cache. Fail if it cannot; $sd_said is why.
sd_time_disk() {
  set -- "$1" "$2" "$3" "${4% *}" "${4#* }" "$5"
  rm -f -- "$2"
  if [ "$3" = read ]; then
    sd_said=$(dd if=/dev/zero of="$2" bs="$5" count="$4" conv=fsync 2>&1) || return
    set -- "$@" if="$2" of=/dev/null iflag=direct
  else
    set -- "$@" if=/dev/zero of="$2" oflag=direct
  fi
  sd_group=$1 sd_size=$5 sd_count=$4 sd_most=$6 sd_file=$2
  shift 6
  sd_now; sd_began=$sd_now
  sd_said=$( {
    [ -z "$sd_group" ] || echo 0 >"$sd_group/cgroup.procs" || exit
    exec timeout "$((sd_most / 100 + 1))" dd bs="$sd_size" count="$sd_count" "$@"
  } 2>&1)
  sd_code=$?
  sd_now
  sd_took=$((sd_now - sd_began))
  rm -f -- "$sd_file"
  case $sd_code in 0 | 124 | 143) ;; *) return 1 ;; esac
}

# The baseline: the disk does $3 of $2 in file $1 in less than seven tenths of the $4 centiseconds that the limit leaves it.
sd_disk_is_faster() {
  sd_time_disk '' "$1" "$2" "$3" "$4" || { echo "$sd_said"; return 1; }
  [ "$sd_took" -lt $(($4 * 7 / 10)) ] || { echo "the disk is no faster by itself: $3 bytes took ${sd_took}0 ms, with the limit ${4}0 ms"; return 1; }
}

# Evidence that control group $1 is throttled: $4 of $3 in file $2 take a process in it the $5 centiseconds that the limit leaves it.
sd_witness_throttled() {
  sd_time_disk "$1" "$2" "$3" "$4" $(($5 * 4)) || { echo "$sd_said"; return 1; }
  echo "a $3 of ${4% *} times ${4#* } bytes past the page cache took ${sd_took}0 ms, by the limit ${5}0 ms"
  [ "$sd_took" -ge $(($5 * 17 / 20)) ]
}

# Is identity $1 in control group $2 still, and is that limited for device $3?
sd_is_throttled() {
  sd_alive "$1" && grep -qsx "${1%.*}" "$2/cgroup.procs" && grep -qs "^$3 " "$2"/blkio.throttle.*_device "$2/io.max"
}
