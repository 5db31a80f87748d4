# Which interfaces carry our own SSH connection. Only the host knows: the inventory may have a DNS name, or the address and port of
# a NAT. Changes nothing.

# Print "<peer> <port> <local address> <port>" of our connection. sudo removes SSH_CONNECTION from our environment, but its own
# process still has it.
sd_came_in() {
  sd_ssh=$SSH_CONNECTION
  sd_pid=$PPID
  while [ -z "$sd_ssh" ] && [ "${sd_pid:-0}" -gt 1 ]; do
    sd_ssh=$(tr '\0' '\n' <"/proc/$sd_pid/environ" | sed -n 's/^SSH_CONNECTION=//p')
    sd_pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$sd_pid/status")
  done
  echo "$sd_ssh"
}

# Print "at <local address> from <peer>", then the interfaces that carry our connection, one per line: the one with the address, those
# that replies leave by, their master, and all lower devices. Prints nothing if our connection is unknown.
sd_carriers() (
  set -f
  IFS=' ' read -r sd_peer _ sd_at _ <<END
$(sd_came_in)
END
  [ -n "$sd_at" ] || exit 0
  echo "at $sd_at from $sd_peer"
  sd_next=$(
    case $sd_at in *%*) echo "${sd_at#*%}" ;; esac
    sd_at=${sd_at%%%*}
    ip -o addr show | while read -r _ sd_dev _ sd_own _; do [ "${sd_own%%/*}" != "$sd_at" ] || echo "$sd_dev"; done
    sd_way "${sd_peer%%%*}" from "$sd_at"
  )
  # Traffic of a VRF's port passes through the VRF; the VRF's other ports do not matter.
  sd_masters=$(for sd_dev in $sd_next; do readlink "/sys/class/net/$sd_dev/master"; done)
  sd_found=
  while [ -n "$sd_next" ]; do
    # shellcheck disable=SC2086  # names of interfaces have no spaces
    set -- $sd_next
    sd_next=
    for sd_dev; do
      case " $sd_found " in *" $sd_dev "*) continue ;; esac
      [ -d "/sys/class/net/$sd_dev" ] || continue
      sd_found="$sd_found $sd_dev"
      sd_next="$sd_next $(sd_beneath "$sd_dev")"
    done
  done
  for sd_dev in $sd_found $sd_masters; do echo "${sd_dev##*/}"; done
)

# Print the outgoing interfaces of packets to "$@".
sd_way() {
  ip route get "$@" | sed -n 's/.* dev \([^ ]*\).*/\1/p'
}

# Print the lower devices of interface $1: ports of a bridge, slaves of a bond, the parent of a VLAN, macvlan or ipvlan, the peer of
# a veth, the route to a tunnel's remote end.
sd_beneath() {
  (set +f; cd "/sys/class/net/$1" && for sd_lower in lower_*; do [ ! -e "$sd_lower" ] || echo "${sd_lower#lower_}"; done)
  sd_link=$(ip -o -d link show dev "$1" || ip -o link show dev "$1")
  case $sd_link in *": $1@"*) sd_to=${sd_link#*@}; echo "${sd_to%%:*}" ;; esac
  read -r sd_type <"/sys/class/net/$1/type"
  case $sd_link:$sd_type in
    *' remote '*) sd_to=${sd_link#* remote }; sd_way "${sd_to%% *}" ;;
    # PPP, tun, WireGuard and IP-in-IP do not reveal where they send.
    *:512 | *:65534 | *:76[89] | *:77[68] | *:823) (ip -4 route show default; ip -6 route show default) | sed -n 's/.* dev \([^ ]*\).*/\1/p' ;;
  esac
}
