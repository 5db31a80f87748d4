# <address> <port> <stream>: the last entries on Redis.
{ redis-cli --json -h "$1" -p "$2" xrevrange "$3" + - count 200; echo "exit $?" >&2; } | pack
