# Files of the kernel that hold one word, such as those of control groups. $rec/set has "<word before> <ours> <file>" of each that we wrote.

# Write the word $2 to file $1. What it held is written down first.
sd_set_file() {
  read -r sd_was <"$1" && printf '%s %s %s\n' "$sd_was" "$2" "$1" >>"$rec/set" &&
    printf '^%s$ %s\n' "$2" "$1" >>"$rec/marks" && printf '%s\n' "$2" >"$1"
}

# File $1 holds again what it held before us, unless somebody has written another word to it since; where the record is gone, $2. Shell
# builtins alone.
sd_unset_file() {
  [ -f "$rec/record" ] || { printf '%s\n' "$2" >"$1"; return; }
  [ -f "$rec/set" ] || return 0
  while read -r sd_was sd_ours sd_file; do
    [ "$sd_file" = "$1" ] && read -r sd_is <"$1" && [ "$sd_is" = "$sd_ours" ] && printf '%s\n' "$sd_was" >"$1"
  done <"$rec/set"
  return 0
}

# Evidence that file $1 holds the word $2, within two seconds, as a freezer takes a moment, or at once for $3 = 0.
sd_file_is() {
  sd_left=${3:-40}
  until read -r sd_is <"$1" && [ "$sd_is" = "$2" ]; do
    [ "$sd_left" -gt 0 ] || { echo "$1 is $sd_is"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
  echo "$1 is $2"
}

# The baseline of that: it does not.
sd_file_is_not() {
  read -r sd_is <"$1" && [ "$sd_is" != "$2" ] || { echo "$1 is $2 already"; return 1; }
}
