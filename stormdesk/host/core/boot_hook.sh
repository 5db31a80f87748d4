# The boot hook: persistent faults are undone at the next start of the host.

# Does this host run /etc/stormdesk/boot when it starts?
sd_boot_hook_possible() {
  grep -qs /etc/stormdesk/boot /etc/inittab
}

sd_boot_hook_install() {
  # shellcheck disable=SC2016  # the hook's own shell expands it
  mkdir -p /etc/stormdesk &&
    printf '#!/bin/sh\nfor d in %s/*/; do [ ! -f "$d/complete" ] || sh "$d/boot.sh" "$d" </dev/null >/dev/null 2>&1; done\n' "$sd_durable" \
      >/etc/stormdesk/boot && chmod 755 /etc/stormdesk/boot
}

# Remove the hook when no run needs it any more; the folder goes too, unless somebody else put something there.
sd_boot_hook_remove() {
  rmdir "$sd_durable" 2>/dev/null || return 0
  rm -f /etc/stormdesk/boot
  rmdir /etc/stormdesk 2>/dev/null
  return 0
}
