# sh look.sh <record>: print which watchdogs are alive. Is the fault still in? 0: yes; 1: no; else that cannot be told.
rec=$1
. "$rec/lib.sh"
. "$rec/verbs.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}
for letter in a b; do
  read -r id 2>/dev/null <"$rec/watch.$letter" && sd_alive "${id%% *}" && echo "watchdog ${id%% *}"
done
plan_still >/dev/null 2>&1
code=$?
echo "still $code"
exit "$code"
