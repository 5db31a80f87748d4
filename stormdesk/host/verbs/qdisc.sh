# Verbs on queueing disciplines. Ours has a handle of its own, so that only ours is ever taken away.

# Does this kernel know qdisc "$@"? "yes", "no: <why>", or "unknown" where it cannot be tried. It is tried in a network namespace
# of its own that goes with the command: nothing on the host changes.
sd_qdisc_able() {
  sd_said=$(unshare -n tc qdisc add dev lo root "$@" 2>&1) && { echo yes; return; }
  case $sd_said in
    *unshare* | '') echo unknown ;;
    *) echo "no: $(printf '%.160s' "$sd_said" | tr '\n' ' ')" ;;
  esac
}

# Evidence that the root of interface $1 is qdisc $2 with handle $3.
sd_witness_qdisc() {
  sd_said=$(tc qdisc show dev "$1" root 2>/dev/null || tc qdisc show dev "$1")
  case $sd_said in
    *"qdisc $2 $3: "*) printf '%s\n' "$sd_said" | head -n 1 ;;
    *) echo "$1 has no qdisc $2 $3:"; return 1 ;;
  esac
}

# Before the fault: the root of interface $1 is the kernel's own.
sd_default_root() {
  sd_said=$(tc qdisc show dev "$1" | grep ' root') || return 0
  case $sd_said in *' 0: root'*) ;; *) echo "$sd_said"; return 1 ;; esac
}
