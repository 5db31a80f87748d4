# Verbs on a folder that is away.

# Rename folder $1 to $2, in the same parent: never into a folder that is there.
sd_rename() {
  if [ -e "$2" ] || [ -L "$2" ]; then echo "$2 is there already"; return 1; fi
  mv "$1" "$2"
}

# Undo of sd_rename. What others made in its place meanwhile is theirs: an empty folder goes, anything else keeps its content under the
# name $2.made, and the record says so.
sd_rename_back() {
  [ -d "$2" ] || return 0
  rmdir "$1" 2>/dev/null
  if [ -e "$1" ] || [ -L "$1" ]; then
    [ ! -e "$2.made" ] || return 1
    mv "$1" "$2.made" && sd_note "set_aside=$2.made"
  fi
  mv "$2" "$1"
}

# Mount an empty read-only file system of ours, known by its source $2, over folder $1.
sd_cover() {
  mount -n -t tmpfs -o "ro,nosuid,nodev,size=4k,mode=$(stat -c %a "$1")" "$2" "$1"
}

# Undo of sd_cover: who works in it keeps an empty folder until then.
sd_cover_gone() {
  while awk -v at="$1" -v ours="$2" '{ gsub(/\\040/, " ", $5); for (i = 7; $i != "-"; i++); if ($5 == at) last = $(i + 2) } END { exit last != ours }' \
    /proc/self/mountinfo; do
    umount "$1" 2>/dev/null || umount -l "$1" || return
  done
}

# Evidence that folder $1 is not there, but at $2.
sd_witness_renamed() {
  [ ! -e "$1" ] || { echo "$1 is there"; return 1; }
  [ -d "$2" ] || { echo "$2 is not there"; return 1; }
  echo "no $1; its content is at $2"
}

# Evidence that folder $1 shows nothing of what it holds: only our mount $2.
sd_witness_covered() {
  [ -z "$(ls -A "$1")" ] || { echo "$1 is not empty"; return 1; }
  grep -F " - tmpfs $2 " /proc/self/mountinfo >/dev/null || { echo "$2 is not mounted"; return 1; }
  echo "$1 is an empty read-only folder"
}

# Before the fault: folder $1 is there, and not empty.
sd_has_content() {
  [ -n "$(ls -A "$1" 2>/dev/null)" ] || { echo "$1 is empty: nothing would be missing"; return 1; }
}
