# Is the host as it was? Compares fingerprints, also with other runs in.

# Note where used space differs from $rec/space by more than 16 MiB: others use a volume too, so that this is no verdict.
sd_space_note() {
  sd_space | while read -r sd_used sd_path; do
    while read -r sd_used0 sd_path0; do
      sd_more=$((sd_used - sd_used0))
      [ "$sd_path" != "$sd_path0" ] || [ "${sd_more#-}" -le 16384 ] ||
        sd_note "space_kib=$([ "$sd_more" -lt 0 ] || echo +)$sd_more in $sd_path"
    done <"$rec/space"
  done
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
  [ "$sd_after" = "$sd_before" ] && sd_space_note
}

# Does command "$2.." still print $1? The plan was made from that answer.
sd_same() {
  sd_expected=$1
  shift
  [ "$("$@" 2>/dev/null)" = "$sd_expected" ] || { echo "changed since the plan was made: $*" >&2; return 1; }
}
