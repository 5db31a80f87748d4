# Verbs on name resolution.

# Run verbs/dns.py with "$@".
sd_dns() {
  sd_python "" "$sd_dns_py" "$@"
}

# Answer queries on loopback port $1 as specified by "$@" (dns.py serve).
sd_dns_serve() {
  sd_python resolver "$sd_dns_py" serve "$@" || return 1
  sd_left=100
  # Its port, in hexadecimal, in the kernel's table of UDP sockets.
  until grep -qs "$(printf ':%04X 0' "$1")" /proc/net/udp; do
    [ "$sd_left" -gt 0 ] || { echo "the resolver does not listen on port $1"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
}

# Evidence that a query for name $2 to servers $3 gets the answer $1.
sd_dns_answers() {
  sd_said=$(sd_dns ask "$2" "$3")
  echo "$2: $sd_said"
  [ "$sd_said" = "$1" ]
}

# Baseline: it gets a different one.
sd_dns_answers_else() {
  ! sd_dns_answers "$@"
}

# This host's name servers, one per line.
sd_name_servers() {
  sed -n 's/^nameserver[[:space:]]*\([0-9a-fA-F.:]*\).*/\1/p' /etc/resolv.conf
}
