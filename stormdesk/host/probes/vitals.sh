# sh vitals.sh <data folder or ""> <the trader's base URL or ""> <the guard's file or "">: what steady.py judges, in sections
# `==stormdesk== <name> <number>`; the guard's number is its file's age. A leader is watched until its count of accepted
# orders grows, at most 5 s: a seeded strategy may well pause for a second.
section() { printf '\n==stormdesk== %s\n' "$1"; }
page() { section "$1 $(curl -s -m 2 -o /dev/null -w '%{http_code}' "$base/$1")"; curl -s -m 2 "$base/$1"; }
accepted() { printf '%s\n' "$1" | awk '/^trader_orders_total\{.*state="accepted"/ {n += $NF} END {print n + 0}'; }
newline='
'
base=$2
[ -z "$1" ] || { section df; df -Pk "$1"; section inodes; df -Pi "$1"; }
if [ -n "$base" ]; then
  page ready
  page health
  first=$(curl -s -m 2 "$base/metrics")
  section "metrics $([ -z "$first" ] || echo 200)"
  printf '%s\n' "$first"
  later=$first waited=0
  case $first in *"$newline"'trader_is_leader 1'*)
    while [ "$waited" -lt 50 ] && [ "$(accepted "$later")" = "$(accepted "$first")" ]; do
      sleep 0.1
      waited=$((waited + 1))
      later=$(curl -s -m 2 "$base/metrics")
    done ;;
  esac
  section "later $waited"
  printf '%s\n' "$later"
fi
[ -z "$3" ] || { section "guard $(($(date +%s) - $(stat -c %Y "$3" || echo 0)))"; cat "$3"; }
section end
exit 0
