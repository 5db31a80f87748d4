# Print which kernel and which pid namespace this host is: two names with the same are one machine.
sd_identity() {
  echo "boot_id $(cat /proc/sys/kernel/random/boot_id)"
  echo "pid_namespace $(readlink /proc/self/ns/pid)"
}
