# The record of one run: one file on a tmpfs, overwritten in place.

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

# Report event $1 with text $2: the record gets the state that it leads to (stormdesk/core/states.py). Fail where it leads nowhere:
# then its reporter must not go on. What leads to the state itself is not written again.
sd_event() {
  sd_read || return 1
  sd_next "$sd_state" "$1" || return 1
  [ "$sd_next" = "$sd_state" ] || sd_write "$sd_next" "$2"
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
