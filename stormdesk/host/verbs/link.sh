# Verbs on network interfaces.

# Evidence that interface $1 is down.
sd_witness_down() {
  read -r sd_operstate <"/sys/class/net/$1/operstate" || return 1
  echo "$1 is $sd_operstate"
  [ "$sd_operstate" = down ]
}

# Baseline: interface $1 is not down.
sd_not_down() {
  ! sd_witness_down "$1"
}

# Interface $1 up. Of its stacked interfaces "$2..", those that are down beforehand stay down, although the kernel brings VLANs up with it.
sd_up_alone() {
  sd_dev=$1 sd_still=
  shift
  sd_is_down "$sd_dev" || return
  for sd_one; do ! sd_is_down "$sd_one" || sd_still="$sd_still $sd_one"; done
  ip link set dev "$sd_dev" up
  for sd_one in $sd_still; do ip link set dev "$sd_one" down; done
}

# Does interface $1 exist, and is it not up?
sd_is_down() {
  read -r sd_flags 2>/dev/null <"/sys/class/net/$1/flags" && [ $((sd_flags & 1)) = 0 ]
}

# Normalise the output of `ip -o`: single spaces, and without what only the kernel sets.
sd_plain() {
  sed 's/[\\[:space:]][\\[:space:]]*/ /g; s/ expires [0-9]*sec//; s/ unbalanced_time [0-9]*//; s/ dead\>//g; s/ linkdown\>//g; s/ $//'
}

# Restore IPv6 addresses on interface $1, each `$2..` as arguments of `ip addr add`, unless present.
sd_addresses_back() {
  sd_dev=$1
  sd_seen=$(ip -o -6 addr show dev "$sd_dev" | sd_plain)
  shift
  for sd_words; do
    case "$sd_seen " in *" inet6 ${sd_words%% *} "*) continue ;; esac
    # shellcheck disable=SC2086  # the words of a command
    (set -f; ip -6 addr add $sd_words dev "$sd_dev")
  done
}

# Restore nexthop objects, two arguments each: those of `ip nexthop add`, and the members of a group that may be missing ("" for none).
# A group gets its members back if nothing else about it has changed.
sd_nexthops_back() {
  sd_seen="
$(ip -o nexthop show | sd_plain)
"
  while [ $# -ge 2 ]; do
    sd_words=${1#id }
    sd_now=${sd_seen#*"
id ${sd_words%% *} "}
    # shellcheck disable=SC2086  # the words of a command
    if [ "$sd_now" = "$sd_seen" ]; then
      (set -f; ip nexthop add $1)
    elif [ -n "$2" ]; then
      sd_now=${sd_now#group }
      sd_now=${sd_now%%[ 
]*}
      sd_words=${sd_words#* group }
      sd_words=${sd_words%% *}
      [ "$sd_now" = "$sd_words" ] || [ "$(sd_without "$2" "$sd_now")" != "$(sd_without "$2" "$sd_words")" ] || (set -f; ip nexthop replace $1)
    fi
    shift 2
  done
}

# Print the members of group $2 that are not in group $1.
sd_without() {
  (IFS=/; set -f; for sd_member in $2; do case /$1/ in */$sd_member/*) ;; *) echo "$sd_member" ;; esac; done)
}

# Restore routes of family $1, four arguments each: append or prepend, the route as `ip -o route show` prints it, its neighbour in the
# table ("" for any), seconds until it expires or "". A route in its place is left alone, and so are all others: nothing is replaced.
# Adding a route twice fails without harm, so several processes may do this at once.
sd_routes_back() {
  sd_family=$1
  sd_seen="
$(ip -o "-$sd_family" route show table all | sd_plain)
"
  shift
  while [ $# -ge 4 ]; do
    case $1:$3 in
      *:) sd_pair=$2 ;;
      append:*) sd_pair="$3
$2" ;;
      *) sd_pair="$2
$3" ;;
    esac
    case $sd_seen in *"
$sd_pair
"*) ;; *) sd_route_back "$1" "$2" "$4" ;; esac
    shift 4
  done
}

# `ip route $1` route $2, first removing it from a wrong place; it expires in $3 seconds, or "" for never.
sd_route_back() (
  set -f
  sd_how=$1
  # ip prints "rto_min lock" but does not parse it.
  sd_words=$2
  case $sd_words in *' rto_min lock '*) sd_words="${sd_words%% rto_min lock *} rto_min ${sd_words#* rto_min lock }" ;; esac
  # With a nexthop object, the printed gateway and interface are the object's, not the route's.
  case $sd_words in *' nhid '*) sd_words=$(echo "$sd_words" | sed 's/ nexthop .*//; s/ via inet6 [^ ]*//; s/ via [^ ]*//; s/ dev [^ ]*//; s/ onlink//') ;; esac
  sd_expires=${3:+ expires $3}
  case $sd_words in
    *' nexthop '*) sd_new="${sd_words%% nexthop *}$sd_expires nexthop ${sd_words#* nexthop }" ;;
    *) sd_new=$sd_words$sd_expires ;;
  esac
  case $sd_seen in *"
$2
"*)
    # shellcheck disable=SC2086  # the words of a command
    ip "-$sd_family" route del $sd_words ;;
  esac
  # shellcheck disable=SC2086  # the words of a command
  ip "-$sd_family" route "$sd_how" $sd_new
)

# Restore permanent and proxy neighbours of interface $1, each $2.. as arguments of `ip neigh`, unless its address has one. Only a
# neighbour that the kernel has learned since may be replaced.
sd_neighbours_back() {
  sd_dev=$1
  shift
  sd_seen="
$(ip -o neigh show nud permanent; ip -o neigh show proxy | sed 's/^/proxy /')"
  for sd_words; do
    case $sd_seen in *"
${sd_words%% dev *} dev $sd_dev "*) continue ;; esac
    # shellcheck disable=SC2086  # the words of a command
    (set -f; ip neigh replace $sd_words)
  done
}
