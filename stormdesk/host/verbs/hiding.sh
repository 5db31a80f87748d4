# Verbs that hide a folder.

# Rename folder $1 to $2, in the same parent, and never into an existing folder.
sd_rename() {
  if [ -e "$2" ] || [ -L "$2" ]; then echo "$2 already exists"; return 1; fi
  mv "$1" "$2"
}

# Undo of sd_rename. What others created in its place is kept: an empty folder is removed, anything else is renamed to $2.made, and
# the record says so.
sd_rename_back() {
  [ -d "$2" ] || return 0
  rmdir "$1" 2>/dev/null
  if [ -e "$1" ] || [ -L "$1" ]; then
    [ ! -e "$2.made" ] || return 1
    mv "$1" "$2.made" && sd_note "set_aside=$2.made"
  fi
  mv "$2" "$1"
}

# Mount our own empty read-only file system, identified by its source $2, over folder $1.
sd_cover() {
  mount -n -t tmpfs -o "ro,nosuid,nodev,size=4k,mode=$(stat -c %a "$1")" "$2" "$1"
}

# Folder $1 as the table of mounts writes it.
sd_mount_point() {
  printf '%s\n' "$1" | sed 's/\\/\\134/g; s/ /\\040/g'
}

# Undo of sd_cover. A process whose working directory is in our mount keeps the empty folder until it leaves.
sd_cover_gone() {
  sd_point=$(sd_mount_point "$1")
  while SD_AT=$sd_point awk -v ours="$2" '{ for (i = 7; $i != "-"; i++); if ($5 == ENVIRON["SD_AT"]) last = $(i + 2) } END { exit last != ours }' \
    /proc/self/mountinfo; do
    umount "$1" 2>/dev/null || umount -l "$1" || return
  done
}

# Evidence that folder $1 has been moved to $2.
sd_witness_renamed() {
  [ ! -e "$1" ] || { echo "$1 exists"; return 1; }
  [ -d "$2" ] || { echo "$2 does not exist"; return 1; }
  echo "no $1; its content is at $2"
}

# Evidence that folder $1 shows none of its content, only our mount $2.
sd_witness_covered() {
  [ -z "$(ls -A "$1")" ] || { echo "$1 is not empty"; return 1; }
  grep -F " - tmpfs $2 " /proc/self/mountinfo >/dev/null || { echo "$2 is not mounted"; return 1; }
  echo "$1 is an empty read-only folder"
}

# Baseline: folder $1 exists and is not empty.
sd_has_content() {
  [ -n "$(ls -A "$1" 2>/dev/null)" ] || { echo "$1 is empty: nothing would disappear"; return 1; }
}
