# <user> <argument of psql>...: what psql prints.
user=$1
shift
psql=$(ls -d /usr/lib/postgresql/*/bin/psql 2>/dev/null | sort -V | tail -n 1)
{ setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "${psql:-psql}" -XqAt -v ON_ERROR_STOP=1 "$@"
  echo "exit $?" >&2; } | pack
