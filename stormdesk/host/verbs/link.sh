# Verbs on network interfaces.

# Evidence that interface $1 is down.
sd_witness_down() {
  read -r sd_operstate <"/sys/class/net/$1/operstate" || return 1
  echo "$1 is $sd_operstate"
  [ "$sd_operstate" = down ]
}

# Before the fault: interface $1 is not down.
sd_not_down() {
  ! sd_witness_down "$1"
}
