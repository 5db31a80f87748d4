# Verbs on queueing disciplines. Ours has its own handle, so that only ours is ever removed.

# Does this kernel support qdisc "$@"?
sd_qdisc_able() {
  sd_net_able tc qdisc add dev lo root "$@"
}

# Evidence that the root of interface $1 is qdisc $2 with handle $3.
sd_witness_qdisc() {
  sd_said=$(tc qdisc show dev "$1" root 2>/dev/null || tc qdisc show dev "$1")
  case $sd_said in
    *"qdisc $2 $3: "*) printf '%s\n' "$sd_said" | head -n 1 ;;
    *) echo "$1 has no qdisc $2 $3:"; return 1 ;;
  esac
}

# Baseline: the root qdisc of interface $1 is the kernel's default.
sd_default_root() {
  sd_said=$(tc qdisc show dev "$1" | grep ' root') || return 0
  case $sd_said in *' 0: root'*) ;; *) echo "$sd_said"; return 1 ;; esac
}

# Run the tc commands "$@", stopping at the first failure.
sd_tc() {
  printf '%s\n' "$@" | tc -batch -
}

# Evidence that interface $1 has netem with handle $2, and how it impairs packets.
sd_witness_netem() {
  sd_said=$(tc -s qdisc show dev "$1")
  case $sd_said in
    *"qdisc netem $2: "*) printf '%s\n' "$sd_said" | sed -n "/netem $2:/,/Sent/p" ;;
    *) echo "$1 has no netem"; return 1 ;;
  esac
}
