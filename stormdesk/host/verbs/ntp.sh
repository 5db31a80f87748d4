# The path to time servers: packets to and from UDP port 123.

# Send a packet to UDP port 123 of this host with the tools at hand: 0 if it was sent, 1 if the kernel refused, 2 without a tool.
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

# Baseline: such a packet can be sent, or it cannot be tried.
sd_ntp_open() {
  sd_ntp_send
  [ $? != 1 ] || { echo "packets to UDP port 123 are already dropped"; return 1; }
}

# Evidence that no packet reaches time servers: "$@" sees our rules, and the kernel drops a packet to UDP port 123.
sd_witness_ntp() {
  "$@" >/dev/null || { echo "our rules are gone"; return 1; }
  sd_ntp_send
  case $? in
    0) echo "a packet to UDP port 123 was sent"; return 1 ;;
    1) echo "a packet to UDP port 123 is dropped; time services here: $(sd_time_services)" ;;
    *) echo "our rules drop packets to and from UDP port 123; time services here: $(sd_time_services)" ;;
  esac
}

# Print the names of running time services.
sd_time_services() {
  sd_names=
  for sd_file in /proc/[0-9]*/comm; do
    read -r sd_word 2>/dev/null <"$sd_file" || continue
    case $sd_word in chronyd | ntpd | ntpsec | openntpd | systemd-timesyn*) sd_names="$sd_names $sd_word" ;; esac
  done
  echo "${sd_names:- none}"
}
