# Restarting a host.

# Restart this host: `forced` at once, as a power cut would (but after a sync); `clean` after stopping its services.
sd_reboot() {
  case $1 in
    forced) reboot -f ;;
    *) if [ -d /run/systemd/system ]; then systemctl reboot; else reboot; fi ;;
  esac
}

# Evidence that it did: this process is gone. A host that still runs after $1 seconds says so.
sd_witness_reboot() {
  sleep "$1"
  echo "it did not restart within $1 seconds"
  return 1
}
