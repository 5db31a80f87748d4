# sh inject.sh <record> [<instant> [<deadline>]]: S4 INJECT and S5 CONFIRM on the host, at an instant of its own time since
# boot, with the deadline of the arming or an earlier one (both in centiseconds). Runs in a session of its own, so that the
# fence can end it with all its children. Refuses (11) unless the watchdog's acknowledgement is on the host and the claim is still free.
rec=$1
trap "" PIPE HUP
. "$rec/lib.sh"
. "$rec/verbs.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}

refuse() {
  printf "%s\n" "refused $*"
  exit 11
}

# Sleep until the instant $1, in centiseconds since boot.
sleep_until() {
  sd_now
  while [ "$sd_now" -lt "$1" ]; do
    sd_left=$(($1 - sd_now))
    sleep "$((sd_left / 100)).$(printf '%02d' $((sd_left % 100)))"
    sd_now
  done
}

# While this run changes things of some kind, no other run may begin to: what changed is to be known for ours. The lock goes to
# the next one when its holder has died. All runs take them in one order. Fail and set $said when it is not free by instant $1.
enter() {
  for kind in $SD_TOUCHES; do
    until ln -sn "$SD_RUN" "$sd_base/lock.kind.$kind" 2>/dev/null; do
      holder=$(readlink "$sd_base/lock.kind.$kind") || continue
      sd_alive "$(readlink "$sd_base/$holder/go")" || rm -f "$sd_base/lock.kind.$kind"
      sd_now
      [ "$sd_now" -lt "$1" ] || { said="run $holder is being injected here"; return 1; }
      sleep 0.05
    done
  done
}

leave() {
  sd_take_ours
  sd_unlock kind.
}

# Set $said: it on one line, its first $1 bytes.
one_line() {
  IFS=$sd_newline
  set -f
  # shellcheck disable=SC2086  # its lines, one word each
  set -- "$1" $said
  most=$1
  shift
  IFS=" "
  said=$*
  unset IFS
  set +f
  [ ${#said} -le "$most" ] || said=$(printf "%.${most}s" "$said")
}

# The reply to the arming must leave before the link goes.
[ -z "$SD_CUTS" ] || sleep 0.3
sleep_until $((${2:-0} - 30))
[ ! -e "$sd_base/halt" ] || refuse "halted"
sd_read
sd_next "$sd_state" inject || refuse "not armed and acknowledged: the record says ${sd_state:-nothing}"
sd_value a; a=$sd_value
sd_value b
sd_alive "$a" || sd_alive "$sd_value" || refuse "the watchdog is gone"
sd_value deadline
deadline=$sd_value armed=$sd_value
# A deadline is never put off: a watchdog may have read it already.
[ "${3:-$deadline}" -ge "$deadline" ] || deadline=$3
sd_now
[ $((deadline - sd_now)) -ge 100 ] || refuse "too late: less than a second before the deadline"
said=$(plan_baseline 2>&1) || { one_line 200; refuse "the witness would prove nothing, before the fault it says: $said"; }
sd_start $$
ln -s "$$.$sd_start" "$rec/go" 2>/dev/null || refuse "fenced: this run was reverted or injected already"
enter $((deadline - 100)) || refuse "$said"
said=$(sd_picture)
case $said in *"!error"*) refuse "cannot read this host: $(printf "%s\n" "$said" | grep -m 1 -F "!error")" ;; esac
printf "%s\n" "$said" >"$rec/before" || refuse "no room for the picture of this host in $rec"
sleep_until "${2:-0}"
[ $((deadline - sd_now)) -ge 100 ] || refuse "too late: less than a second before the deadline"
sd_event inject "injected_at=$sd_now deadline=$deadline" || refuse "the record says $sd_state"
# Who sleeps until the old deadline hears of the new one.
[ "$deadline" = "$armed" ] || for letter in a b; do echo 1<>"$rec/life.$letter"; done
step=1
while [ "$step" -le "$SD_STEPS" ]; do
  said=$("plan_do_$step" 2>&1) || {
    code=$?
    leave
    one_line 120
    sd_event fail "step=$step code=$code $said"
    exit 12
  }
  step=$((step + 1))
done
sd_event finish || exit 12
said=$(plan_witness 2>&1)
code=$?
one_line 240
leave
if [ "$code" = 0 ]; then sd_event confirm "$said"; else sd_event doubt "$said"; exit 13; fi
