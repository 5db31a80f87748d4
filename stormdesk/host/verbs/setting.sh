# Kernel files that contain one word, such as those of cgroups. $rec/set has "<word before> <ours> <file>" for each that we wrote.

# Write word $2 to file $1. The old word is recorded first.
sd_set_file() {
  read -r sd_was <"$1" && printf '%s %s %s\n' "$sd_was" "$2" "$1" >>"$rec/set" &&
    printf '^%s$ %s\n' "$2" "$1" >>"$rec/marks" && printf '%s\n' "$2" >"$1"
}

# Restore the word in file $1, unless somebody has written another one since; if the record is gone, write $2. Shell builtins only.
sd_unset_file() {
  [ -f "$rec/record" ] || { printf '%s\n' "$2" >"$1"; return; }
  [ -f "$rec/set" ] || return 0
  while read -r sd_was sd_ours sd_file; do
    [ "$sd_file" = "$1" ] && read -r sd_is <"$1" && [ "$sd_is" = "$sd_ours" ] && printf '%s\n' "$sd_was" >"$1"
  done <"$rec/set"
  return 0
}

# Evidence that file $1 contains word $2, within two seconds, since a freezer takes a moment, or at once if $3 is 0.
sd_file_is() {
  sd_left=${3:-40}
  until read -r sd_is <"$1" && [ "$sd_is" = "$2" ]; do
    [ "$sd_left" -gt 0 ] || { echo "$1 is $sd_is"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  echo "$1 is $2"
}

# Its baseline: it does not.
sd_file_is_not() {
  read -r sd_is <"$1" && [ "$sd_is" != "$2" ] || { echo "$1 is already $2"; return 1; }
}
