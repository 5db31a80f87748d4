# The boot hook: persistent faults are undone at the next start of the host. verbs/boot_hook.sh makes it; here it goes.

# Remove it when no run needs it any more: the files that say they are Stormdesk's, the links to them, and the folders that were
# made for either, unless somebody else put something there.
sd_boot_hook_remove() {
  rmdir "$sd_durable" 2>/dev/null || return 0
  for sd_link in /etc/systemd/system/sysinit.target.wants/stormdesk-boot.service /etc/runlevels/boot/stormdesk-boot /etc/rc.local; do
    sd_file=$(readlink "$sd_link") || sd_file=$sd_link
    ! grep -qs '^# The boot hook of Stormdesk' "$sd_file" || rm -f "$sd_link" "$sd_file"
  done
  ! read -r sd_file 2>/dev/null </etc/stormdesk/made || rmdir "$sd_file" 2>/dev/null
  rm -f /etc/stormdesk/boot /etc/stormdesk/made
  rmdir /etc/stormdesk 2>/dev/null
  return 0
}
