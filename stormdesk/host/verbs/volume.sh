# Verbs on a whole volume: its users, and a power cut.

# Set $sd_dev to the device number of the file system of $1 as stat prints it, and $sd_number to its "<major>:<minor>".
sd_device() {
  sd_dev=$(stat -c %d "$1") || return
  sd_number=$((sd_dev >> 8 & 0xfff)):$((sd_dev & 0xff | sd_dev >> 12 & 0xfff00))
}

# Print the pids of the processes that use the file system of $1: an open or mapped file, or a working directory.
sd_on_volume() {
  sd_device "$1" || return
  sd_hex=$(printf '%02x:%02x' "${sd_number%:*}" "${sd_number#*:}")
  {
    printf '%s\n' /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/* | xargs stat -L -c '%d %n' 2>/dev/null |
      sed -n "s|^$sd_dev /proc/\([0-9]*\)/.*|\1|p"
    grep -ls " $sd_hex " /proc/[0-9]*/maps | tr -dc '0-9\n'
  } | sort -un
}

# Print "<pid>.<start> <user id> <command line>" of each process on the volume of $1, "left-out <text>" for a protected one, "service
# <manager> <name>" for those that a manager runs, "held <text>" if it is also mounted where our unmount does not propagate.
sd_volume_users() {
  sd_ours=$(sd_own_pids)
  for sd_pid in $(sd_on_volume "$1"); do
    sd_start "$sd_pid" || continue
    sd_found=$sd_pid.$sd_start
    sd_line=$(tr '\000-\037\177' ' ' 2>/dev/null <"/proc/$sd_pid/cmdline")
    sd_protected "$sd_pid"
    if [ -n "$sd_why" ]; then
      printf 'left-out %s (%.60s) is %s\n' "$sd_pid" "$sd_line" "$sd_why"
    else
      echo "$sd_found $(stat -c %u "/proc/$sd_pid") $sd_line"
      sd_managed "$sd_pid"
    fi
  done
  sd_held "$1"
}

# Is the source of $1's mount a block device here?
sd_source() {
  [ -b "$(df -P "$1" | sed -n '$s/ .*//p')" ]
}

# Print the files that the kernel itself has open, "<file>:<path> ..": swap files and the backing files of loop devices.
sd_inside() {
  grep -Hs . /proc/swaps /sys/block/loop*/loop/backing_file
}

# Print "service <manager> <name>" of the service that process $1 belongs to: supervisord puts the name into its children's environment,
# systemd into the cgroup's path. A program of supervisord does not count as systemd's. Who writes a title over its environment, as
# Redis does, is asked of supervisord by its pid.
sd_managed() {
  sd_name=$(tr '\0' '\n' 2>/dev/null <"/proc/$1/environ" | awk -F= '$1 == "SUPERVISOR_PROCESS_NAME" { name = $2 }
    $1 == "SUPERVISOR_GROUP_NAME" { group = $2 } END { if (name != "") print "supervisor", (group == name ? "" : group ":") name }')
  [ -n "$sd_name" ] || [ ! -d /run/systemd/system ] ||
    sd_name=$(sed -n '/user\.slice/d; s|^[0-9]*:\(name=systemd\)\{0,1\}:.*/\([^/]*\)\.service$|systemd \2|p' "/proc/$1/cgroup" 2>/dev/null)
  [ -n "$sd_name" ] || [ ! -r "/proc/$1/status" ] || sd_name=$(
    read -r sd_parent 2>/dev/null <"/proc/$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status")/comm"
    case $sd_parent in supervisord) supervisorctl status 2>/dev/null | awk -v pid="$1," '$3 == "pid" && $4 == pid { print "supervisor", $1 }' ;; esac
  )
  [ -z "$sd_name" ] || echo "service $sd_name"
}

# Print "held <text>" for each mount of the file system of $1 that would outlive ours, in a namespace to which unmounts do not propagate.
sd_held() {
  sd_device "$1" || return
  grep -Hs " $sd_number " /proc/self/mountinfo /proc/[0-9]*/mountinfo | awk -v dev="$sd_number" '
    $3 != dev { next }
    { split($1, part, /[:\/]/); group = " "; for (i = 7; $i != "-" && i < NF; i++) group = group $i " " }
    part[3] == "self" { own[part[5]] = 1; if (match(group, /shared:[0-9]+/)) peers = substr(group, RSTART + 7, RLENGTH - 7); next }
    (part[5] in own) || seen[part[5]]++ || (peers != "" && group ~ (" (shared|master):" peers " ")) { next }
    { print "held process " part[3] " has it mounted in a mount namespace of its own" }'
}

# Is the file system at $1 shut down? Then no file can be created.
sd_dead() {
  sd_said=$( (: >"$1/.stormdesk-$SD_RUN.probe") 2>&1) || case $sd_said in *'nput/output error'* | *'I/O error'*) return 0 ;; esac
  rm -f -- "$1/.stormdesk-$SD_RUN.probe"
  return 1
}

# Shut the file system at $1 down without a flush, as FS_IOC_SHUTDOWN with NOLOGFLUSH does for ext4, XFS and f2fs.
sd_shut_perl() {
  # shellcheck disable=SC2016  # perl expands it
  perl -e 'sysopen(F, $ARGV[0], 0) or die "$!\n"; $how = pack("L", 2); ioctl(F, 0x8004587d, $how) or die "$!\n"' "$1"
}

sd_shut_python3() {
  python3 -I -S -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$1"
}

# Cut the power of the volume at $1: unsynced data is lost, its processes die at that instant, and it is mounted again. $2 source, $3 type,
# $4 options; $5 is the tool that shuts it down; "$6..": `<manager> <name>` of services that stay down. Two lines of ours show what it lost.
sd_cut_power() {
  (set -C; : >"$1/.stormdesk-$SD_RUN") 2>/dev/null || return
  echo there | dd of="$1/.stormdesk-$SD_RUN" conv=fsync 2>/dev/null || return
  sd_pids=$(sd_on_volume "$1")
  sd_ours=$(sd_own_pids)
  for sd_pid in $sd_pids; do
    sd_protected "$sd_pid"
    [ -z "$sd_why" ] || { echo "process $sd_pid is $sd_why"; return 1; }
    sd_start "$sd_pid" && printf '%s\n' "$sd_pid.$sd_start" >>"$rec/stopped"
  done
  # shellcheck disable=SC2086  # pids, one word each
  [ -z "$sd_pids" ] || kill -STOP $sd_pids
  # Last, or a sync of theirs might take it along.
  (set -C; echo unsynced >"$1/.stormdesk-$SD_RUN.unsynced") || return
  "$5" "$1" || return
  sd_note "ended=$(echo "$sd_pids" | grep -c .)"
  sd_end_services "$@"
  sd_mount_again "$1" "$2" "$3" "$4" || return
  # The size of the file may have reached the disk without what is in it: then there are zeros.
  sd_found=gone
  ! grep -qs unsynced "$1/.stormdesk-$SD_RUN.unsynced" || sd_found=there
  sd_note "synced=$(cat "$1/.stormdesk-$SD_RUN" 2>&1) unsynced=$sd_found"
  rm -f -- "$1/.stormdesk-$SD_RUN" "$1/.stormdesk-$SD_RUN.unsynced"
}

# Kill the processes $sd_pids, which are stopped, and keep the managers of services "$6.." from restarting them. supervisord is told
# beforehand, so that it does not see a crash; systemd would continue them, so it is told right afterwards.
sd_end_services() {
  shift 5
  sd_left=80
  sd_names=$(printf '%s\n' "$@" | sed -n 's/^systemd //p')
  # shellcheck disable=SC2046  # names, one word each
  set -- $(printf '%s\n' "$@" | sed -n 's/^supervisor //p')
  for sd_name; do timeout 10 supervisorctl stop "$sd_name" >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- & done
  # shellcheck disable=SC2046  # a file each
  until [ "$(grep -ls '^ShdPnd:.*[1-9a-f]' $(echo "$sd_pids" | sed 's|..*|/proc/&/status|') /dev/null | grep -c .)" -ge $# ]; do
    [ "$sd_left" -gt 0 ] || break
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  # shellcheck disable=SC2086  # pids and names, one word each
  {
    [ -z "$sd_pids" ] || kill -KILL $sd_pids
    [ -z "$sd_names" ] || timeout 10 systemctl stop $sd_names
  }
  wait
}
