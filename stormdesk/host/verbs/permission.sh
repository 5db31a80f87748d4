# Verbs on the mode of a file.

# Set the mode of file $1 with inode $2 to $3, if it is $4.
sd_mode() {
  [ "$(stat -c '%i %a' "$1")" = "$2 $4" ] || return
  chmod "$3" "$1"
}

# Baseline: user $1 can $2 (read or write) file $3. Nothing is written.
sd_may() {
  sd_said=$(sd_do_as "$@" 2>&1) || { echo "$1 cannot $2 $3: $sd_said"; return 1; }
}

# Evidence that user $1 cannot $2 (read or write) file $3.
sd_may_not() {
  if sd_said=$(sd_do_as "$@" 2>&1); then echo "$1 can still $2 $3"; return 1; fi
  case $sd_said in *'Permission denied'*) echo "$1 cannot $2 $3: Permission denied" ;; *) echo "$sd_said"; return 1 ;; esac
}

# Open file $3 as user $1 for reading, or for writing without a write.
sd_do_as() {
  if [ "$2" = read ]; then
    sd_as "$1" dd if="$3" of=/dev/null bs=1 count=1
  else
    sd_as "$1" dd if=/dev/null of="$3" conv=notrunc count=0
  fi
}
