# Verbs on name resolution.

# Run verbs/dns.py with "$@".
sd_dns() {
  python3 -c 'import base64, sys, zlib; exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))))' "$sd_dns_py" "$@"
}

# Answer queries on port $1 of this host's loopback, as "$@" say (dns.py serve).
sd_dns_serve() {
  sd_background resolver python3 -c 'import base64, sys, zlib; exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))))' "$sd_dns_py" serve "$@" || return 1
  sd_left=100
  # Its port, in hexadecimal, in the kernel's table of UDP sockets.
  until grep -qs "$(printf ':%04X 0' "$1")" /proc/net/udp; do
    [ "$sd_left" -gt 0 ] || { echo "the resolver does not listen on port $1"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
}

# Evidence that name $2, asked of the servers $3, gets the answer $1.
sd_dns_answers() {
  sd_said=$(sd_dns ask "$2" "$3")
  echo "$2: $sd_said"
  [ "$sd_said" = "$1" ]
}

# Before the fault: it gets another one.
sd_dns_answers_else() {
  ! sd_dns_answers "$@"
}

# The name servers of this host, one a line.
sd_name_servers() {
  sed -n 's/^nameserver[[:space:]]*\([0-9a-fA-F.:]*\).*/\1/p' /etc/resolv.conf
}
