# Stormdesk host library. POSIX sh: dash, busybox ash, bash --posix. Constant; no run's data is ever pasted into it.
#
# Words: a *record* is the folder of one run on a tmpfs of the host; $rec names it. $rec/record holds one line a step,
# "<centiseconds since boot> <STATE> <text>", in a file of 4096 bytes that is overwritten in place, so that it can be
# written when the tmpfs, the disk and the inodes are all used up. An *identity* is "<pid>.<start time>".
# $rec/go is a one-shot claim made with an atomic symlink: either the injector has it (then it may act) or the fence has
# it (then no inject of this run can ever act). Nothing takes it over and nothing removes it but the end of the record.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077
sd_newline='
'
sd_durable=/var/lib/stormdesk

# Set $sd_now: centiseconds since boot. The wall clock is never asked: it may be what is being broken.
sd_now() {
  IFS=' ' read -r sd_now _ </proc/uptime
  sd_now=${sd_now%.*}${sd_now#*.}
}

# Set $sd_start to the start time of process $1 (field 22 of its stat); fail for none and for zombies.
sd_start() {
  sd_start=
  IFS= read -r sd_stat 2>/dev/null <"/proc/$1/stat" || return 1
  sd_stat=${sd_stat##*) }
  # shellcheck disable=SC2086  # its fields, one word each
  set -- $sd_stat
  [ $# -ge 20 ] && [ "$1" != Z ] && [ "$1" != X ] || return 1
  shift 19
  sd_start=$1
}

# Is the identity $1 still the same process?
sd_alive() {
  [ -n "$1" ] && sd_start "${1%.*}" && [ "$sd_start" = "${1#*.}" ]
}

# Wait up to $2 tenths of a second until identity $1 is gone.
sd_gone() {
  sd_left=$2
  while sd_alive "$1"; do
    [ "$sd_left" -gt 0 ] || return 1
    sd_left=$((sd_left - 1))
    sleep 0.1
  done
}
