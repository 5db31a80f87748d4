# The clock of a service that was started with libfaketime, set through the file from which it reads its offset.

# Like `sd_processes "$1" "$2" "$3"`, then `clock <its file>`, `was <the file's content>` and `type <file system>`, or `clock no: <why>`.
sd_target_clock() {
  sd_said=$(sd_processes "$1" "$2" "$3")
  printf '%s\n' "$sd_said"
  sd_top=$(printf '%s\n' "$sd_said" | sed -n 's/^\([0-9]*\)\.[0-9]* .*/\1/p')
  case $sd_top in '' | *[!0-9]*) return ;; esac
  sd_file=$(sd_of_environment "$sd_top" FAKETIME_TIMESTAMP_FILE)
  sd_word=$(sd_of_environment "$sd_top" FAKETIME)
  if ! grep -qs libfaketime "/proc/$sd_top/maps"; then
    echo "clock no: it was not started with libfaketime (LD_PRELOAD)"
  elif [ -n "$sd_word" ]; then
    echo "clock no: its environment has FAKETIME, which takes precedence over any file"
  elif [ -z "$sd_file" ]; then
    echo "clock no: its environment has no FAKETIME_TIMESTAMP_FILE"
  elif [ ! -f "$sd_file" ] || [ -L "$sd_file" ] || [ "$(wc -w <"$sd_file")" != 1 ] || [ "$(wc -l <"$sd_file")" -gt 1 ]; then
    echo "clock no: $sd_file does not hold one word, such as +0"
  else
    read -r sd_was <"$sd_file"
    printf 'clock %s\nwas %s\ntype %s\n' "$sd_file" "$sd_was" "$(stat -f -c %T "$sd_file")"
  fi
}

# Print variable $2 of process $1.
sd_of_environment() {
  tr '\0\n' '\n ' 2>/dev/null <"/proc/$1/environ" | sed -n "s/^$2=//p" | head -n 1
}

# Write word $2 to file $1 in place: a concurrent reader sees the old or the new word, never an empty file.
sd_clock_set() {
  printf '%s\n' "$2" 1<>"$1" && dd of="$1" bs=1 seek=$((${#2} + 1)) count=0 </dev/null 2>/dev/null
}

# Make the clock that reads file $1 jump to $2.
sd_clock_jump() {
  sd_clock_set "$1" "$2"
}

# Make the clock that reads file $1 drift by $2 tenths of a ppm while the fault is in, by growing its offset every tenth of a second. (A
# rate in the file would outlive the undo: libfaketime never drops one.)
sd_clock_drift() {
  printf '^[-+][0-9]*[.][0-9]\{6\}$ %s\n' "$1" >>"$rec/marks" || return
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background drift sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1; sd_now; began=$sd_now
    while sd_read; do
      case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      sd_now; sd_sign=+ sd_us=$(((sd_now - began) * $3 / 1000))
      [ "$sd_us" -ge 0 ] || sd_sign=- sd_us=$((-sd_us))
      printf "%s%07d.%06d\n" "$sd_sign" $((sd_us / 1000000)) $((sd_us % 1000000)) 1<>"$2"
      sleep 0.1
    done' sh "$rec" "$1" "$2"
}

# Restore $2 to file $1, if its content is ours, that is, matches $3.
sd_clock_back() {
  read -r sd_is 2>/dev/null <"$1" || sd_is=
  # shellcheck disable=SC2254  # a pattern
  case $sd_is in '' | $3) sd_clock_set "$1" "$2" ;; esac
}

# Alternate file $1 between $2 and $3, $4 seconds each, while the fault is in.
sd_clock_strobe() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background strobe sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; rec=$1
    while sd_read; do
      case $sd_state in INJECTING | INJECTED | CONFIRMED | UNWITNESSED) ;; *) exit ;; esac
      sd_clock_set "$2" "$3"; sleep "$5"; sd_clock_set "$2" "$4"; sleep "$5"
    done' sh "$rec" "$1" "$2" "$3" "$4"
}

# Set $sd_ahead to the number of seconds that a process is ahead with offset file $2 and the libraries of process $1.
sd_clock_ahead() {
  sd_library=$(sed -n 's|^[^/]* \(/.*libfaketime[^/]*\)$|\1|p' "/proc/$1/maps" | head -n 1)
  [ -n "$sd_library" ] || { echo "process $1 has no libfaketime"; return 1; }
  sd_here=$(awk 'BEGIN { srand(); print int(srand()) }')
  sd_there=$(LD_PRELOAD=$sd_library FAKETIME_TIMESTAMP_FILE=$2 FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
    awk 'BEGIN { srand(); print int(srand()) }' 2>/dev/null) || return 1
  sd_ahead=$((sd_there - sd_here))
}

# Evidence for the clock of identity $1, which reads file $2, within five seconds: the file's content matches $3, and with the same
# library and file the time is between $4 and $5 seconds ahead.
sd_witness_clock() {
  sd_alive "$1" || { echo "$1 has ended"; return 1; }
  sd_left=25
  while :; do
    read -r sd_is 2>/dev/null <"$2" || sd_is=
    # shellcheck disable=SC2254  # a pattern
    case $sd_is in
      $3)
        sd_clock_ahead "${1%.*}" "$2" || return 1
        [ "$sd_ahead" -lt "$4" ] || [ "$sd_ahead" -gt "$5" ] || break
        ;;
    esac
    [ "$sd_left" -gt 0 ] || { echo "$2 contains $sd_is, and its clock is ${sd_ahead:-?} s ahead"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.2
  done
  echo "$2 contains $sd_is; its clock is $sd_ahead s ahead of the host's"
}

# Does the content of file $1 match $2?
sd_clock_says() {
  read -r sd_is 2>/dev/null <"$1" || return 1
  # shellcheck disable=SC2254  # a pattern
  case $sd_is in $2) ;; *) return 1 ;; esac
}

# Baseline: it does not.
sd_clock_says_not() {
  ! sd_clock_says "$1" "$2" || { echo "$1 already contains $sd_is"; return 1; }
}
