# Checks of routes before their interface goes down. Changes nothing.

# Print the gateways of interface $1 that are no longer reachable through it, because of a policy rule or a route that is gone: the
# kernel would refuse to add a route through such a gateway again.
sd_lost_gateways() {
  for sd_family in 4 6; do
    sd_hops "$sd_family" "$1" | grep -v onlink | sd_gateway_of | while read -r sd_gateway; do
      case $sd_family$sd_gateway in 4*:* | 6*.*.*) continue ;; esac
      case $(ip "-$sd_family" route get fibmatch "$sd_gateway" oif "$1" 2>&1) in
        *' via '*) echo "$sd_gateway" ;;
        *" dev $1 "*) ;;
        *) echo "$sd_gateway" ;;
      esac
    done
  done
  # IPv6 accepts an on-link gateway only if no other interface's prefix precedes ours, which is restored last.
  sd_hops 6 "$1" | grep onlink | sd_gateway_of | while read -r sd_gateway; do
    ! ip -6 route show match "$sd_gateway" | grep -v '^default' | grep -qv " dev $1 " || echo "$sd_gateway"
  done
}

# Print each hop of family $1's routes and nexthop objects that has a gateway on interface $2.
sd_hops() {
  { ip -o "-$1" route show table all; ip -o nexthop show; } | sd_plain | sed 's/ nexthop /;/g' | tr ';' '\n' |
    grep "via [^ ]* dev $2\( \|\$\)" | grep -v 'via fe80'
}

sd_gateway_of() {
  sed 's/.*via \([^ ]*\) .*/\1/' | sort -u
}
