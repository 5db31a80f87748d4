# Verbs on the inodes of a file system.

# Create folder $1 with $2 empty files, or as many as the file system has inodes for, from a single process.
sd_use_inodes() {
  mkdir "$1" || return
  sd_note "folder=$1"
  SD_IN=$1 awk -v count="$2" 'BEGIN { for (i = 1; i <= count; i++) { file = ENVIRON["SD_IN"] "/" i; printf "" >file; close(file) } }' 2>/dev/null
  return 0
}

# Evidence that no file can be created in folder $1 although there is free space; prints the free KiB.
sd_witness_no_inode() {
  sd_said=$( (: >"$1/.stormdesk-$SD_RUN.probe") 2>&1)
  sd_code=$?
  rm -f -- "$1/.stormdesk-$SD_RUN.probe"
  sd_free=$(df -Pk "$1" | awk 'END { print $4 }')
  case $sd_code.$sd_said in
    0.*) echo "a new file in $1 can still be created"; return 1 ;;
    *'No space left on device'*) [ "$sd_free" -gt 0 ] || { echo "$1 has no free space either"; return 1; } ;;
    *) echo "$sd_said"; return 1 ;;
  esac
  echo "a new file in $1: No space left on device, with $sd_free KiB free"
}

# Evidence that folder $1 contains at least $2 of our files.
sd_witness_inodes() {
  # shellcheck disable=SC2012  # their names are numbers
  sd_count=$(ls "$1" | wc -l)
  echo "$sd_count files in $1; $(df -Pi "$1" | awk 'END { print $5 }') of the inodes are used"
  [ "$sd_count" -ge "$2" ]
}
