# Running commands as another user.

# Run "$2.." as user $1, without root's privileges on a full file system.
sd_as() {
  sd_user=$1
  shift
  # busybox's setpriv cannot change the user.
  if setpriv --reuid "$sd_user" true 2>/dev/null; then
    setpriv --reuid "$sd_user" --regid "$(id -g "$sd_user")" --clear-groups "$@"
  else
    su -s /bin/sh "$sd_user" -c 'exec "$@"' sh "$@"
  fi
}
