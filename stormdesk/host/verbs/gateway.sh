# What is asked of routes before their interface goes down. Changes nothing.

# Print the gateways of interface $1 that are not reached by it now, because of a rule or of a route that went: with such a gateway the
# kernel takes no route anew.
sd_lost_gateways() {
  for sd_family in 4 6; do
    { ip -o "-$sd_family" route show table all; ip -o nexthop show; } | sd_plain | sed 's/ nexthop /;/g' | tr ';' '\n' |
      grep "via [^ ]* dev $1\( \|\$\)" | grep -v -e onlink -e 'via fe80' |
      sed 's/.*via \([^ ]*\) .*/\1/' | sort -u | while read -r sd_gateway; do
        case $sd_family$sd_gateway in 4*:* | 6*.*.*) continue ;; esac
        case $(ip "-$sd_family" route get fibmatch "$sd_gateway" oif "$1" 2>&1) in
          *' via '*) echo "$sd_gateway" ;;
          *" dev $1 "*) ;;
          *) echo "$sd_gateway" ;;
        esac
      done
  done
}
