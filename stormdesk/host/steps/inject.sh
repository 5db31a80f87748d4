# sh inject.sh <record> [<instant> [<deadline>]]: S4 INJECT and S5 CONFIRM on the host, at an instant of its own time since
# boot, with the deadline of the arming or an earlier one (both in centiseconds). Runs in a session of its own, so that the
# fence can end it with all its children. Refuses (11) unless the watchdog's acknowledgement is on the host and the claim is still free.
rec=$1
trap '' PIPE HUP
. "$rec/lib.sh"
. "$rec/verbs.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}

refuse() {
  echo "refused $*"
  exit 11
}

# The reply to the arming must leave before the link goes.
[ -z "$SD_CUTS" ] || sleep 0.3
sd_now
while [ "$sd_now" -lt "${2:-0}" ]; do
  sd_left=$(($2 - sd_now))
  sleep "$((sd_left / 100)).$(printf '%02d' $((sd_left % 100)))"
  sd_now
done
[ ! -e "$sd_base/halt" ] || refuse "halted"
sd_read
sd_next "$sd_state" inject || refuse "not armed and acknowledged: the record says ${sd_state:-nothing}"
sd_value a; a=$sd_value
sd_value b
sd_alive "$a" || sd_alive "$sd_value" || refuse "the watchdog is gone"
sd_value deadline
deadline=$sd_value
# A deadline is never put off: a watchdog may have read it already.
[ "${3:-$deadline}" -ge "$deadline" ] || deadline=$3
sd_now
[ $((deadline - sd_now)) -ge 100 ] || refuse "too late: less than a second before the deadline"
said=$(plan_baseline 2>&1) || refuse "the witness would prove nothing, before the fault it says: $(printf '%.200s' "$said" | tr '\n' ' ')"
sd_start $$
ln -s "$$.$sd_start" "$rec/go" 2>/dev/null || refuse "fenced: this run was reverted or injected already"
sd_now
sd_event inject "injected_at=$sd_now deadline=$deadline" || refuse "the record says $sd_state"
step=1
while [ "$step" -le "$SD_STEPS" ]; do
  said=$("plan_do_$step" 2>&1) || {
    sd_event fail "step=$step code=$? $(printf '%.120s' "$said" | tr '\n' ' ')"
    exit 12
  }
  step=$((step + 1))
done
sd_event finish || exit 12
said=$(plan_witness 2>&1)
code=$?
said=$(printf '%.240s' "$said" | tr '\n' ' ')
if [ "$code" = 0 ]; then sd_event confirm "$said"; else sd_event doubt "$said"; exit 13; fi
