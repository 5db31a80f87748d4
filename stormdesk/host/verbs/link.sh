# Verbs on network interfaces.

# Evidence that interface $1 is down.
sd_witness_down() {
  read -r sd_operstate <"/sys/class/net/$1/operstate" || return 1
  echo "$1 is $sd_operstate"
  [ "$sd_operstate" = down ]
}

# Before the fault: interface $1 is not down.
sd_not_down() {
  ! sd_witness_down "$1"
}

# Interface $1 up. Of those made on it, "$2..", which are down right before stays down, though the kernel puts a VLAN up with it.
sd_up_alone() {
  sd_dev=$1 sd_still=
  shift
  sd_is_down "$sd_dev" || return
  for sd_one; do ! sd_is_down "$sd_one" || sd_still="$sd_still $sd_one"; done
  ip link set dev "$sd_dev" up
  for sd_one in $sd_still; do ip link set dev "$sd_one" down; done
}

# Is interface $1 there, and not set up?
sd_is_down() {
  read -r sd_flags 2>/dev/null <"/sys/class/net/$1/flags" && [ $((sd_flags & 1)) = 0 ]
}

# Read what `ip -o` prints, print it with single spaces and without what the kernel alone decides.
sd_plain() {
  sed 's/[\\[:space:]][\\[:space:]]*/ /g; s/ expires [0-9]*sec//; s/ unbalanced_time [0-9]*//; s/ dead\>//g; s/ linkdown\>//g; s/ $//'
}

# Put IPv6 addresses back on interface $1, each `$2..` in the words of `ip addr add`, unless it is there.
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

# Put nexthop objects back; each is two words: what `ip nexthop add` takes, and which members of a group may be gone ("" for none).
# A group gets its members back if it is as it was but for these.
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

# Put routes of family $1 back; each is four words: append or prepend, the route as `ip -o route show` prints it, the one that
# then stands beside it ("" for any), seconds until it expires or "". One that is in its place is left alone, and so is every other
# route: what exists is never replaced. Adding the same one twice fails without harm, so any number may do this at once.
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

# `ip route $1` route $2, out of a wrong place if it is there; it expires in $3 seconds, or "".
sd_route_back() (
  set -f
  sd_how=$1
  # ip prints "rto_min lock", and does not read it.
  sd_words=$2
  case $sd_words in *' rto_min lock '*) sd_words="${sd_words%% rto_min lock *} rto_min ${sd_words#* rto_min lock }" ;; esac
  # By a nexthop object: its gateway and interface are printed, but are not the route's.
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

# Put permanent and proxy neighbours of interface $1 back, each $2.. in the words of `ip neigh`, unless its address has one. What may be
# replaced is a neighbour that the kernel learned since.
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
