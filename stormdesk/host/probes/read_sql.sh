# <user> <argument of psql>...: what psql prints.
user=$1
shift
psql=$(printf '%s\n' /usr/lib/postgresql/*/bin/psql | sort -V | tail -n 1)
[ -x "$psql" ] || psql=psql
{ setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$psql" -XqAt -v ON_ERROR_STOP=1 "$@"
  echo "exit $?" >&2; } | pack
