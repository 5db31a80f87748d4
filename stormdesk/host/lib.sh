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

# ---- time, processes ------------------------------------------------------------------------------------------------

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
  # shellcheck disable=SC2086
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

# Print which kernel and which pid namespace this host is: two names with the same are one machine.
sd_identity() {
  echo "boot_id $(cat /proc/sys/kernel/random/boot_id)"
  echo "pid_namespace $(readlink /proc/self/ns/pid)"
}

# ---- the record -----------------------------------------------------------------------------------------------------

# Set $sd_base: where records live. Only a tmpfs will do: no fault on a disk can fill it. (guard.sh has the same loop.)
sd_find_base() {
  for sd_base in /run /dev/shm; do
    grep -qs "^[^ ]* $sd_base tmpfs " /proc/mounts && sd_base=$sd_base/stormdesk && return 0
  done
  sd_base=
  return 1
}

# Set $sd_history (all lines) and $sd_state (the last line's state; STEP lines are remarks).
sd_read() {
  sd_history=
  sd_state=
  [ -r "$rec/record" ] || return 1
  while read -r sd_line && [ -n "$sd_line" ]; do
    sd_history=$sd_history$sd_line$sd_newline
    sd_word=${sd_line#* }
    case $sd_word in STEP\ *) ;; *) sd_state=${sd_word%% *} ;; esac
  done <"$rec/record"
}

# Overwrite the record with text $1. The rest of its 4096 bytes are newlines: a shell reads byte by byte, and stops at the
# first empty line, so one that reads while we write sees the old lines or the new ones too, never the tail of one.
sd_put() {
  sd_pad=$sd_newline
  while [ ${#sd_pad} -lt 4096 ]; do sd_pad=$sd_pad$sd_pad; done
  printf "%s%.$((4096 - ${#1}))s" "$1" "$sd_pad" 1<>"$rec/record"
}

# Add a line: state $1, text $2. A record that would overflow gives up its remarks; states are few and short.
sd_write() {
  sd_read || return 1
  sd_now
  sd_line="$sd_now $1 $2$sd_newline"
  if [ $((${#sd_history} + ${#sd_line})) -gt 4096 ]; then
    sd_history=$(printf '%s' "$sd_history" | grep -v '^[0-9]* STEP ')$sd_newline
    sd_line="$sd_now $1 $(printf '%.250s' "$2")$sd_newline"
  fi
  sd_put "$sd_history$sd_line"
}

# Add remark $1, once.
sd_note() {
  sd_read
  case $sd_history in *" STEP $1$sd_newline"*) ;; *) sd_write STEP "$1" ;; esac
}

# Set $sd_value to the value of key $1 in the history (key=value words), the last one.
sd_value() {
  sd_value=
  for sd_word in $sd_history; do
    case $sd_word in "$1="*) sd_value=${sd_word#*=} ;; esac
  done
}

# ---- reading the host -----------------------------------------------------------------------------------------------

# Print lines of command "$@" after the word $sd_kind. A tool that is absent and a read that fails are three-valued apart:
# "absent" is a fact, "!error" can never equal a good reading.
sd_section() {
  if ! command -v "$1" >/dev/null 2>&1; then
    echo "$sd_kind absent"
    return
  fi
  sd_text=$("$@" 2>/dev/null) || { echo "$sd_kind !error $* $?"; return; }
  [ -z "$sd_text" ] || printf '%s\n' "$sd_text" | sed "s/^/$sd_kind /"
}

# The strict fingerprint: everything that must be as before once a fault is undone. Counters, lifetimes, interface
# statistics and duplicate-address detection in progress ("tentative", and the local IPv6 route that the kernel adds when it
# is over) are not state of the host and are taken out.
sd_fingerprint() {
  sd_kind='link'; sd_section ip -o link show
  sd_kind=addr; sd_section ip -o addr show | sed 's/ *valid_lft [^ ]* preferred_lft [^ ]*//; s/ tentative//; s/ optimistic//' | sort
  sd_kind=route4; sd_section ip -4 route show table all | sort
  sd_kind=route6; sd_section ip -6 route show table all | sed '/ table local proto kernel /d; s/ expires [0-9]*sec//' | sort
  sd_kind=rule4; sd_section ip -4 rule show
  sd_kind=rule6; sd_section ip -6 rule show
  sd_kind=qdisc; sd_section tc qdisc show | sed 's/ refcnt [0-9]*//; s/ direct_packets_stat [0-9]*//'
  sd_classes
  sd_kind=iptables; sd_section iptables-save | sed '/^iptables #/d; s/\[[0-9]*:[0-9]*\]//'
  sd_kind=ip6tables; sd_section ip6tables-save | sed '/^ip6tables #/d; s/\[[0-9]*:[0-9]*\]//'
  sd_kind=nft; sd_section nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]*/counter/; s/ expires [0-9a-z]*//g'
  sd_kind=mount; sd_section cut -d' ' -f3- /proc/self/mountinfo
  sd_kind=sysctl
  grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/core /proc/sys/vm |
    grep -v -e stat_refresh -e compact_memory -e '/nf_conntrack_' | sort | sed "s/^/sysctl /"
  sd_services
  sd_kind='file'
  for sd_file in /etc/hosts /etc/resolv.conf /etc/passwd; do sd_file_print "$sd_file"; done
  printf '%s\n' "$SD_FILES" | while IFS= read -r sd_file; do [ -z "$sd_file" ] || sd_file_print "$sd_file"; done
}

# Classes and filters of every qdisc that can have some: tc shows none of them unless it is asked for one place at a time.
sd_classes() {
  command -v tc >/dev/null 2>&1 || return
  tc qdisc show 2>/dev/null | while read -r _ sd_qdisc sd_handle _ sd_dev _; do
    case $sd_qdisc in
      noqueue | pfifo_fast | pfifo | bfifo | mq) continue ;;
      clsact) set -- ingress egress ;;
      ingress) set -- ingress ;;
      *) set -- "parent $sd_handle"; sd_kind="class"; sd_section tc class show dev "$sd_dev" ;;
    esac
    for sd_where; do
      echo "filter of $sd_dev $sd_where"
      # shellcheck disable=SC2086
      sd_kind=filter; sd_section tc filter show dev "$sd_dev" $sd_where
    done
  done
}

# One line for a file: mode, owner, inode, sha256; or that there is none.
sd_file_print() {
  if [ ! -e "$1" ]; then
    echo "file $1 none$(readlink "$1" | sed 's/^/, a link to /')"
  else
    echo "file $1 $(stat -c '%f %u %g %i' "$1" 2>/dev/null || echo '!error') $(sha256sum <"$1" 2>/dev/null || echo '!error')"
  fi
}

# States of the services that a manager runs here; the manager's own answer, without pids and times.
sd_services() {
  if [ -S /run/supervisor.sock ]; then
    sd_text=$(timeout 10 supervisorctl status 2>&1)
    # It ends with 3 when something is not running: that is an answer.
    case $? in
      0 | 3) [ -z "$sd_text" ] || printf '%s\n' "$sd_text" | sed 's/^\([^ ]*\) *\([A-Z]*\).*/service \1 \2/' ;;
      *) printf 'service !error supervisorctl status: %s\n' "$(printf '%.200s' "$sd_text" | tr '\n' ' ')" ;;
    esac
  elif [ -d /run/systemd/system ]; then
    sd_text=$(systemctl list-units --type=service --all --plain --no-legend 2>/dev/null) || { echo 'service !error systemctl list-units'; return; }
    printf '%s\n' "$sd_text" | sed 's/^\([^ ]*\) *[^ ]* *\([^ ]*\).*/service \1 \2/' | sort
  else
    echo "service absent"
  fi
}

# "space <KiB used> <KiB used by files there that are not ours> <path>" for each path in $SD_SPACES.
sd_space() {
  printf '%s\n' "$SD_SPACES" | while IFS= read -r sd_path; do
    [ -n "$sd_path" ] || continue
    sd_used=$(df -Pk "$sd_path" 2>/dev/null | while read -r _ _ sd_k _; do echo "$sd_k"; done | tail -n 1)
    sd_files=$(du -xks "$sd_path" 2>/dev/null | cut -f1)
    echo "space ${sd_used:-!error} ${sd_files:-!error} $sd_path"
  done
}

# Compare $rec/space with now: used space is back within 16 MiB, or what it differs by lies in the stack's own files.
sd_space_back() {
  sd_space | while read -r _ sd_used sd_files sd_path; do
    while read -r _ sd_used0 sd_files0 sd_path0; do
      [ "$sd_path" = "$sd_path0" ] || continue
      case $sd_used$sd_files$sd_used0$sd_files0 in *!*) echo bad; continue ;; esac
      sd_more=$((sd_used - sd_used0)); sd_own=$((sd_files - sd_files0)); sd_rest=$((sd_more - sd_own))
      [ "${sd_more#-}" -le 16384 ] || [ "${sd_rest#-}" -le 16384 ] || echo bad
    done <"$rec/space"
  done | grep -q bad && return 1
  return 0
}

# Print the kinds of lines ("link", "service" ...) that other runs on this host are changing right now.
sd_others() {
  for sd_other in "$sd_base"/r-*/; do
    [ "$sd_other" != "$rec/" ] && [ -f "$sd_other/touches" ] || continue
    (rec=${sd_other%/}; sd_read; [ "$sd_state" != REVERTED ]) && sed "s|^|$sd_other |" "$sd_other/touches"
  done
}

# Read a fingerprint, print it without the kinds that other runs are changing: the last of them to end compares those too.
sd_own_part() {
  sed "$(sd_others | cut -d' ' -f2 | sort -u | sed 's|.*|/^& /d|')"
}

# Read a fingerprint, print it kind after kind. Within one kind the order stays: that of rules is part of what they do.
sd_by_kind() {
  sort -s -k 1,1
}

# The image to come back to. Where an earlier run is changing something right now, that run's image is the true one.
sd_before_image() {
  sd_fingerprint | sed 's/^\(service .*\) \(STARTING\|BACKOFF\)$/\1 RUNNING/' >"$rec/before"
  sd_others | while read -r sd_other sd_touched; do
    grep -v "^$sd_touched " "$rec/before" >"$rec/before.new"
    grep "^$sd_touched " "$sd_other/before" >>"$rec/before.new"
    mv "$rec/before.new" "$rec/before"
  done
  sd_by_kind <"$rec/before" >"$rec/before.new"
  mv "$rec/before.new" "$rec/before"
}

# Is the host as it was when the run was armed? After a "boot" only files are compared: the start rebuilt all else.
sd_verify() {
  sd_after=$(sd_fingerprint | sd_by_kind | sd_own_part)
  sd_before=$(sd_own_part <"$rec/before") || return 1
  if [ "$1" = boot ]; then
    sd_after=$(printf '%s\n' "$sd_after" | grep '^file ')
    sd_before=$(printf '%s\n' "$sd_before" | grep '^file ')
  fi
  case $sd_after in *'!error'*) return 1 ;; esac
  [ "$sd_after" = "$sd_before" ] && sd_space_back
}

# Does command "$2.." still print $1? The plan was made from that answer.
sd_same() {
  sd_expected=$1
  shift
  [ "$("$@" 2>/dev/null)" = "$sd_expected" ] || { echo "changed since the plan was made: $*" >&2; return 1; }
}

# ---- reverting ------------------------------------------------------------------------------------------------------

# Make sure that no inject of this run acts any more: take the claim, or end its holder and its whole process group.
sd_fence() {
  ln -s fenced "$rec/go" 2>/dev/null && return 0
  sd_holder=$(readlink "$rec/go") || return 0
  [ "$sd_holder" = fenced ] && return 0
  sd_alive "$sd_holder" || return 0
  kill -KILL "-${sd_holder%.*}" 2>/dev/null
  sd_gone "$sd_holder" 20
}

# Run every undo, last step first.
sd_undo() {
  sd_step=$SD_STEPS
  while [ "$sd_step" -gt 0 ]; do
    "plan_undo_$sd_step"
    sd_step=$((sd_step - 1))
  done
}

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

# Let go of what the run holds on this host besides its record.
sd_release() {
  sd_unlock
  if [ -n "$SD_PERSISTENT" ]; then
    rm -rf "${sd_durable:?}/${SD_RUN:?}"
    sd_boot_hook_remove
  fi
  return 0
}

# Remove this run's locks, or only those whose names begin with $1.
sd_unlock() {
  for sd_lock in "$sd_base/lock.$1"*; do
    [ "$(readlink "$sd_lock" 2>/dev/null)" != "${rec##*/}" ] || rm -f "$sd_lock"
  done
}

# Set $sd_lock: the lock's path for resource $1; the name is the resource with everything but letters and digits replaced.
sd_lock_path() {
  sd_lock=$sd_base/lock.$(printf '%s' "$1" | tr -c 'A-Za-z0-9' '_')
}

# Revert this run: $1 who, $2 for how many tenths of a second to keep trying. Absolute and idempotent: any number of
# processes may do it at once or after each other, from any state. 0: verified.
sd_revert() {
  sd_read
  # Whoever wrote that may have died before it let go.
  [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
  if [ "$sd_state" = REVERTING ]; then
    # Somebody is at it: who came first is recorded as the reverter, unless it dies or takes too long.
    sd_value at_it
    sd_left=80
    while [ "$sd_left" -gt 0 ] && [ "${sd_value%.*}" != $$ ] && sd_alive "$sd_value"; do
      sleep 0.1
      sd_left=$((sd_left - 1))
      sd_read
      # It may be stopped before it lets go; our answer means that the host is free for the next run.
      [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
    done
  fi
  sd_fence
  sd_start $$
  case $sd_state in REVERTING | REVERT_FAILED) ;; *) sd_write REVERTING "by=$1 at_it=$$.$sd_start" ;; esac
  sd_tries=0
  sd_now; sd_until=$((sd_now + $2 * 10))
  sd_pause=0.2
  while :; do
    # Somebody else was faster, or the record was cleared since: this host may carry another run's fault by now.
    sd_read || return 0
    [ "$sd_state" != REVERTED ] || { sd_release; return 0; }
    sd_undo >/dev/null 2>&1
    sd_lateness  # the fault ends here; looking whether it did may take a while on a busy host
    if sd_verify "$1"; then
      sd_read
      [ "$sd_state" = REVERTED ] || sd_write REVERTED "reverted_by=$1 late_cs=$sd_late"
      sd_release
      return 0
    fi
    sd_now
    [ "$sd_now" -lt "$sd_until" ] || break
    sleep "$sd_pause"
    sd_tries=$((sd_tries + 1))
    [ "$sd_tries" -lt 10 ] || sd_pause=1
    [ "$sd_tries" -lt 30 ] || sd_pause=5
  done
  sd_read
  [ "$sd_state" = REVERT_FAILED ] || sd_write REVERT_FAILED "by=$1"
  logger -p user.crit -t stormdesk "run $SD_RUN: the host is not as it was before; the record is $rec" 2>/dev/null
  return 1
}

# Set $sd_late: centiseconds past the deadline, 0 when before it.
sd_lateness() {
  sd_now
  sd_late=0
  sd_value deadline
  [ -n "$sd_value" ] && [ "$sd_now" -gt "$sd_value" ] && sd_late=$((sd_now - sd_value))
  return 0
}

# ---- the boot hook: persistent faults are undone at the next start of the host --------------------------------------

# Does this host run /etc/stormdesk/boot when it starts?
sd_boot_hook_possible() {
  grep -qs /etc/stormdesk/boot /etc/inittab
}

sd_boot_hook_install() {
  mkdir -p /etc/stormdesk &&
    printf '#!/bin/sh\nfor d in %s/*/; do [ ! -f "$d/complete" ] || sh "$d/boot.sh" "$d" </dev/null >/dev/null 2>&1; done\n' "$sd_durable" \
      >/etc/stormdesk/boot && chmod 755 /etc/stormdesk/boot
}

# Remove the hook when no run needs it any more; the folder goes too, unless somebody else put something there.
sd_boot_hook_remove() {
  rmdir "$sd_durable" 2>/dev/null || return 0
  rm -f /etc/stormdesk/boot
  rmdir /etc/stormdesk 2>/dev/null
  return 0
}

# ---- what faults do: verbs that a plan names ------------------------------------------------------------------------

# Run "$2.." as user $1, without any privilege that root has on a full file system.
sd_as() {
  sd_user=$1
  shift
  # The setpriv of busybox knows no users.
  if setpriv --reuid "$sd_user" true 2>/dev/null; then
    setpriv --reuid "$sd_user" --regid "$(id -g "$sd_user")" --clear-groups "$@"
  else
    su -s /bin/sh "$sd_user" -c 'exec "$@"' sh "$@"
  fi
}

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

# Evidence that interface $1 is down.
sd_witness_down() {
  read -r sd_operstate <"/sys/class/net/$1/operstate" || return 1
  echo "$1 is $sd_operstate"
  [ "$sd_operstate" = down ]
}

# "<pid>.<start> <user id> <command line>" of the processes that $1 (service, pidfile, pattern) $2 selects. Never selected:
# pid 1, kernel threads, sshd and what it carries (this shell is among them), watchdogs, supervisord, container engines.
sd_processes() {
  case $1 in
    service)
      sd_pids=$(timeout 10 supervisorctl pid "$2" 2>/dev/null || systemctl show -p MainPID --value "$2" 2>/dev/null) ;;
    pidfile) read -r sd_pids <"$2" || return 1 ;;
    pattern) sd_pids=$(sd_matching "$2") ;;
  esac
  for sd_pid in $sd_pids; do
    case $sd_pid in *[!0-9]* | 0 | 1) continue ;; esac
    sd_start "$sd_pid" || continue
    sd_line=$(tr '\000-\037\177' ' ' 2>/dev/null <"/proc/$sd_pid/cmdline")
    [ -n "$sd_line" ] || continue
    case $sd_line in *sshd* | *stormdesk/r-*watchdog.sh* | *supervisord* | *dockerd* | *containerd*) continue ;; esac
    echo "$sd_pid.$sd_start $(stat -c %u "/proc/$sd_pid") $sd_line"
  done
}

# Pids whose command line contains $1 as a plain string, this session's own processes left out.
sd_matching() {
  read -r sd_stat </proc/self/stat
  for sd_dir in /proc/[0-9]*; do
    sd_line=$(tr '\0' ' ' 2>/dev/null <"$sd_dir/cmdline") || continue
    case $sd_line in *"$1"*) ;; *) continue ;; esac
    [ "$(cut -d' ' -f6 "$sd_dir/stat" 2>/dev/null)" = "$(cut -d' ' -f6 "/proc/$$/stat")" ] || echo "${sd_dir#/proc/}"
  done
}

# Send signal $1 to each of the identities "$2..": only to that very process, never to one that has its pid now.
sd_kill() {
  sd_signal=$1
  shift
  for sd_target; do
    sd_alive "$sd_target" && kill "-$sd_signal" "${sd_target%.*}" && sd_note "signal=$sd_signal target=$sd_target"
  done
  return 0
}

# Send signal $1 to service $2 again every $3 seconds, whenever it runs, for as long as the run is in.
sd_kill_again() {
  # It looks every second whether the run is still in, so that it ends by itself even if nobody knows of it.
  # shellcheck disable=SC2016
  setsid sh -c '. "$1/lib.sh"; rec=$1; sd_wait=$4
    sd_start $$; printf "%s\n" "$$.$sd_start" >"$rec/repeater"
    while sleep 1; do
      sd_read; case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      sd_wait=$((sd_wait - 1)); [ "$sd_wait" -le 0 ] || continue
      sd_wait=$4
      for sd_one in $(sd_processes service "$3" | cut -d" " -f1); do sd_alive "$sd_one" && kill "-$2" "${sd_one%.*}"; done
    done' sh "$rec" "$1" "$2" "$3" </dev/null >/dev/null 2>&1 &
}

sd_kill_again_stop() {
  read -r sd_repeater 2>/dev/null <"$rec/repeater" || return 0
  sd_alive "$sd_repeater" && kill -KILL "-${sd_repeater%.*}"
  sd_gone "$sd_repeater" 20
}

# Wait up to $2 tenths of a second until identity $1 is stopped: a signal is on its way for a moment.
sd_stopped() {
  sd_left=$2
  until sd_alive "$1" && grep -q '^State:.T' "/proc/${1%.*}/status" 2>/dev/null; do
    [ "$sd_left" -gt 0 ] || return 1
    sd_left=$((sd_left - 1))
    sleep 0.1
  done
}

# Evidence that signal $1 arrived: each of the identities "$2.." is gone (or, for STOP, stopped).
sd_witness_signal() {
  sd_signal=$1
  shift
  for sd_target; do
    if [ "$sd_signal" = STOP ]; then
      sd_stopped "$sd_target" 20 || { echo "$sd_target is not stopped"; return 1; }
    else
      sd_gone "$sd_target" 20 || { echo "$sd_target is still there"; return 1; }
    fi
  done
  echo "signal $sd_signal: (pid, start time) $* $([ "$sd_signal" = STOP ] && echo stopped || echo gone)"
}

# Service $1 runs again, by its own manager if that needs no more than $2 seconds from the inject; else we start it and
# say so: that the manager did not is what the run wanted to know.
sd_service_back() {
  sd_service_running "$1" && { sd_service_note manager; return 0; }
  sd_value injected_at
  sd_now
  [ "$sd_now" -ge $((sd_value + $2 * 100)) ] || return 0
  if [ -S /run/supervisor.sock ]; then timeout 20 supervisorctl start "$1"; else systemctl start "$1"; fi
  sd_service_note stormdesk
}

sd_service_running() {
  if [ -S /run/supervisor.sock ]; then timeout 10 supervisorctl status "$1" | grep -q RUNNING; else systemctl -q is-active "$1"; fi
}

sd_service_note() {
  sd_read
  sd_value started_by
  [ -n "$sd_value" ] || sd_write STEP "started_by=$1"
}

# Put a fault in that a service of the host keeps by itself, by asking it with "$2..". File $1 is there until the service has
# said that the fault is over.
sd_ask_for() {
  : >"$1" || return 1
  shift
  "$@"
}

# Ask the service with "$2.." to end the fault, then file $1 goes; the answer ends with http=<status>. A service that never
# heard of the fault, or that does not listen any more (7), has no such fault: they live in its memory alone.
sd_ask_to_end() {
  [ -e "$1" ] || return 0
  sd_mark=$1
  shift
  sd_said=$("$@" 2>/dev/null)
  case $?.${sd_said##* http=} in
    0.200) sd_hits=${sd_said#*\"hits\":}; sd_note "hits=${sd_hits%%[!0-9]*}" ;;
    0.404 | 7.*) ;;
    *) return 1 ;;
  esac
  rm -f -- "$sd_mark"
}

# Evidence that a fault that a service keeps strikes: "$@" asks for it, and "hits" counts. Somebody must come and be struck,
# so it may take a while.
sd_witness_hits() {
  sd_now; sd_until=$((sd_now + 900))
  while :; do
    sd_said=$("$@" 2>&1)
    sd_hits=${sd_said#*\"hits\":}
    sd_hits=${sd_hits%%[!0-9]*}
    [ "${sd_hits:-0}" -eq 0 ] || { echo "$sd_hits hits so far"; return 0; }
    sd_now
    [ "$sd_now" -lt "$sd_until" ] || { echo "nothing was hit: $(printf '%.160s' "$sd_said")"; return 1; }
    sleep 0.2
  done
}
