# Run something as another user.

# Run "$2.." as user $1, without any privilege that root has on a full file system.
sd_as() {
  sd_user=$1
  shift
  # The setpriv of busybox knows no users.
  if setpriv --reuid "$sd_user" true 2>/dev/null; then
    setpriv --reuid "$sd_user" --regid "$(id -g "$sd_user")" --clear-groups "$@"
  else
    su -s /bin/sh "$sd_user" -c 'exec "$@"' sh "$@"
  fi
}
