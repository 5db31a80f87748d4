# Verbs that damage a file in place: the original bytes are first saved next to it, and the undo restores only those.

# Damage file $1 with inode $2. $3: flip bits ("$4..": <offset>:<value of the bit>), cut $4 bytes off its end, tear its last line after
# at most $4 bytes, or append text $4. Its times stay, as with bit rot.
sd_damage() {
  sd_file=$1 sd_by=${1%/*}/.stormdesk-$SD_RUN
  [ "$(stat -c %i "$1")" = "$2" ] || { echo "$1 is a different file by now"; return 1; }
  sd_size=$(stat -c %s "$1")
  touch -r "$1" "$sd_by.times" || return
  case $3 in
    flip)
      shift 3
      for sd_at; do sd_old=$(sd_byte_at "$sd_file" "${sd_at%:*}"); echo "byte ${sd_at%:*} $sd_old $((sd_old ^ ${sd_at#*:}))"; done
      ;;
    cut) sd_tail "$4" ;;
    torn) sd_last=$(tail -n 1 "$1" | wc -c); sd_tail $((1 + $4 % (sd_last > 2 ? sd_last - 2 : 1))) ;;
    add) printf %s "$4" >"$sd_by.kept" && echo "add $sd_size $(wc -c <"$sd_by.kept")" ;;
  esac >"$sd_by.new" && [ -s "$sd_by.new" ] && sync "$sd_by.new" && mv "$sd_by.new" "$sd_by.patch" || return
  while read -r sd_what sd_at sd_old sd_byte; do
    case $sd_what in
      byte) sd_byte "$sd_file" "$sd_at" "$sd_byte" ;;
      cut) sd_cut "$sd_file" "$sd_at" ;;
      add) sd_kept "$sd_file" "$sd_at" ;;
    esac
  done <"$sd_by.patch"
  touch -r "$sd_by.times" "$sd_file"
}

# Save the last $1 bytes of the file, and print "cut <remaining size> <how many>".
sd_tail() {
  [ "$1" -lt "$sd_size" ] && tail -c "$1" "$sd_file" >"$sd_by.kept" && echo "cut $((sd_size - $1)) $1"
}

sd_byte_at() {
  od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' '
}

# Write byte $3 (a number) at offset $2 of file $1.
sd_byte() {
  # shellcheck disable=SC2059  # an octal escape
  printf "\\$(printf %03o "$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# Write the saved bytes into file $1 at offset $2.
sd_kept() {
  dd if="$sd_by.kept" of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# Truncate file $1 to $2 bytes.
sd_cut() {
  dd if=/dev/null of="$1" bs=1 seek="$2" count=0 2>/dev/null
}

# Undo of sd_damage: file $1, inode $2. Restores each byte that still carries our damage. What the service has overwritten or appended
# is left alone: if that prevents the repair, the note of the damage stays, and the record says so.
sd_repair() {
  sd_by=${1%/*}/.stormdesk-$SD_RUN
  sd_since=
  if [ -f "$sd_by.patch" ] && [ "$(stat -c %i "$1" 2>/dev/null)" = "$2" ]; then
    sd_quiet=$([ "$(stat -c %y "$1")" != "$(stat -c %y "$sd_by.times")" ] || echo yes)
    while read -r sd_what sd_at sd_old sd_byte; do
      case $sd_what in
        byte) [ "$(sd_byte_at "$1" "$sd_at")" != "$sd_byte" ] || sd_byte "$1" "$sd_at" "$sd_old" ;;
        *) if ! sd_only_ours "$1" "$sd_at"; then sd_since=yes; elif [ "$sd_what" = cut ]; then sd_kept "$1" "$sd_at"; else sd_cut "$1" "$sd_at"; fi ;;
      esac
    done <"$sd_by.patch"
    [ -z "$sd_since" ] || { sd_note "written_since=$1"; return 1; }
    [ -z "$sd_quiet" ] || touch -r "$sd_by.times" "$1"
  elif [ -f "$sd_by.patch" ]; then
    sd_note "replaced=$1"
  fi
  rm -f -- "$sd_by.patch" "$sd_by.new" "$sd_by.kept" "$sd_by.times"
}

# After its first $2 bytes, does file $1 contain only a prefix of the saved bytes, or all of them?
sd_only_ours() {
  sd_more=$(($(stat -c %s "$1") - $2))
  [ "$sd_more" -ge 0 ] && [ "$(tail -c "+$(($2 + 1))" "$1" | sha256sum)" = "$(head -c "$sd_more" "$sd_by.kept" | sha256sum)" ]
}

# Evidence that file $1 is damaged as noted.
sd_witness_damage() {
  sd_by=${1%/*}/.stormdesk-$SD_RUN
  read -r sd_what sd_at sd_old sd_byte 2>/dev/null <"$sd_by.patch" || { echo "$1 is not damaged"; return 1; }
  case $sd_what in
    byte) [ "$(sd_byte_at "$1" "$sd_at")" = "$sd_byte" ] && echo "$(grep -c . <"$sd_by.patch") bits flipped, first at $sd_at" ;;
    cut) [ "$(stat -c %s "$1")" = "$sd_at" ] && echo "$sd_old bytes cut" ;;
    add) [ "$(stat -c %s "$1")" -ge $((sd_at + sd_old)) ] && echo "$sd_old bytes added at $sd_at" ;;
  esac || { echo "$1 is repaired"; return 1; }
}
