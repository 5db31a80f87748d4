# Packets impaired by our own program behind an NFQUEUE.

# Impair the packets of queue $1 as specified by "$3.." (verbs/shim.py); $2 is the mark of its own packets.
sd_shim() {
  sd_python shim "$sd_shim_py" "$@" || return 1
  sd_left=100
  until grep -qs "^ *$1 " /proc/net/netfilter/nfnetlink_queue; do
    [ "$sd_left" -gt 0 ] || { echo "the shim does not listen on queue $1"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.05
  done
}

# Stop it; it releases the packets that it holds first.
sd_shim_end() {
  if read -r sd_one 2>/dev/null <"$rec/helper.shim" && sd_alive "$sd_one"; then
    kill -TERM "${sd_one%.*}"
    sd_gone "$sd_one" 10
  fi
  sd_background_end shim
}
