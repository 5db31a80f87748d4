# A flapping interface.

# Take interface $1 down for $2 seconds and up for $3, repeatedly while the fault is in. The undo of the plan's first step brings it up.
sd_flap() {
  ip link set dev "$1" down || return 1
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background flapper sh -c '. "$1/lib.sh"; . "$1/plan.sh"; rec=$1
    while :; do
      sleep "$3"; plan_undo_1
      sleep "$4"; ip link set dev "$2" down
    done' sh "$rec" "$1" "$2" "$3"
}
