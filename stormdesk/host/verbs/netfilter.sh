# Netfilter rules in the run's own table or chains.

# Does "$@", a network change, work on this kernel? "yes", "no: <why>", or "unknown" if it cannot be tried. It is tried in a
# temporary network namespace: nothing on the host changes.
sd_net_able() {
  sd_said=$(unshare -n "$@" 2>&1) && { echo yes; return; }
  case $sd_said in
    *unshare* | '') echo unknown ;;
    *) echo "no: $(printf '%.160s' "$sd_said" | tr '\n' ' ')" ;;
  esac
}

# Create chain $4 of $1 (iptables, ip6tables), table $2, with rules "$5..", each in iptables' syntax; built-in chain $3 jumps to it
# first. Atomic.
sd_chain() {
  sd_tool=$1 sd_table=$2 sd_hook=$3 sd_name=$4
  shift 4
  {
    printf '*%s\n:%s - [0:0]\n' "$sd_table" "$sd_name"
    for sd_rule; do printf -- '-A %s %s\n' "$sd_name" "$sd_rule"; done
    printf -- '-I %s 1 -j %s\nCOMMIT\n' "$sd_hook" "$sd_name"
  } | "$sd_tool-restore" -w 5 --noflush
}

# Undo of sd_chain, with the same arguments: the jump, the rules, the chain.
sd_chain_gone() {
  "$1" -w 5 -t "$2" -D "$3" -j "$4"
  "$1" -w 5 -t "$2" -F "$4" && "$1" -w 5 -t "$2" -X "$4"
}

# Evidence that table $1 exists, with its counters.
sd_witness_nft() {
  sd_said=$(nft list table inet "$1" 2>&1) || { echo "no table $1"; return 1; }
  printf '%s\n' "$sd_said" | sed -n 's/^[[:space:]]*//; /counter/p' | head -n 3
}

# Evidence that chain $3 of $1, table $2, exists, with its counters.
sd_witness_chain() {
  sd_said=$("$1" -w 5 -t "$2" -nvxL "$3" 2>&1) || { echo "no chain $3"; return 1; }
  case $sd_said in *'(0 references)'*) echo "no rule jumps to chain $3"; return 1 ;; esac
  printf '%s\n' "$sd_said" | sed -n 's/  */ /g; 3,5p'
}

# Does "$@", another verb, fail? The baseline of a witness that sees only what is ours.
sd_not() {
  ! "$@"
}
