# The way to time servers: packets to and from UDP port 123.

# Drop them by iptables and ip6tables, in chain $1 of our own.
sd_ntp_block() {
  for sd_tool in iptables ip6tables; do
    "$sd_tool" -w 5 -N "$1" || return
    for sd_port in --dport --sport; do "$sd_tool" -w 5 -A "$1" -p udp "$sd_port" 123 -j DROP || return; done
    "$sd_tool" -w 5 -I OUTPUT -p udp -j "$1" && "$sd_tool" -w 5 -I INPUT -p udp -j "$1" || return
  done
}

# Our chain $1 is gone, and what leads to it.
sd_ntp_unblock() {
  for sd_tool in iptables ip6tables; do
    for sd_chain in OUTPUT INPUT; do
      while "$sd_tool" -w 5 -D "$sd_chain" -p udp -j "$1"; do :; done
    done
    "$sd_tool" -w 5 -F "$1"
    "$sd_tool" -w 5 -X "$1"
  done 2>/dev/null
  return 0
}

# Send a packet to UDP port 123 of this host itself, by what it has for that: 0 if it was sent, 1 if the kernel refused, 2 without a way.
sd_ntp_send() {
  if command -v python3 >/dev/null 2>&1; then
    python3 -I -S -c 'import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"\x23" + 47 * b"\0", ("127.0.0.1", 123))' 2>/dev/null || return 1
  elif command -v bash >/dev/null 2>&1; then
    bash -c 'echo >/dev/udp/127.0.0.1/123' 2>/dev/null || return 1
  else
    return 2
  fi
}

# The baseline: such a packet is sent, or that cannot be tried.
sd_ntp_open() {
  sd_ntp_send
  [ $? != 1 ] || { echo "packets to UDP port 123 are dropped already"; return 1; }
}

# Evidence that no packet goes to time servers: the kernel drops one that is sent to UDP port 123, and "$@" prints our rules.
sd_witness_ntp() {
  sd_rules=$("$@" 2>/dev/null | grep -c '123.*drop\|123.*DROP')
  [ "$sd_rules" -ge 2 ] || { echo "our rules are not there"; return 1; }
  sd_ntp_send
  case $? in
    0) echo "a packet to UDP port 123 was sent"; return 1 ;;
    1) echo "a packet to UDP port 123 is dropped, by $sd_rules rules of ours; time services here: $(sd_time_services)" ;;
    *) echo "$sd_rules rules of ours drop packets to and from UDP port 123; time services here: $(sd_time_services)" ;;
  esac
}

# Print the names of the time services that run.
sd_time_services() {
  sd_names=
  for sd_file in /proc/[0-9]*/comm; do
    read -r sd_word 2>/dev/null <"$sd_file" || continue
    case $sd_word in chronyd | ntpd | ntpsec | openntpd | systemd-timesyn*) sd_names="$sd_names $sd_word" ;; esac
  done
  echo "${sd_names:- none}"
}

# Can nft and netfilter be used here? It is tried in a network of its own, which goes away with it: `yes`, or `no: <why>`.
sd_filter_able() {
  command -v unshare >/dev/null 2>&1 || { echo "unknown"; return; }
  case $1 in
    nft) set -- nft 'add table inet stormdesk; add chain inet stormdesk out { type filter hook output priority 0; }' ;;
    *) set -- sh -c 'iptables -w 5 -A OUTPUT -p udp --dport 123 -j DROP && ip6tables -w 5 -A OUTPUT -p udp --dport 123 -j DROP' ;;
  esac
  if sd_said=$(unshare --net "$@" 2>&1); then echo yes; else echo "no: $(printf '%s' "$sd_said" | tr '\n' ' ' | cut -c 1-120)"; fi
}
