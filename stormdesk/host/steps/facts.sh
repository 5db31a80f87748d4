# Print what a plan needs to know of this host; after lib.sh and probes.sh functions, in the open shell. Changes nothing.
SD_RUN=facts
echo "uid $(id -u)"
read -r sd_up _ </proc/uptime
echo "uptime $sd_up"
sd_identity
printf 'marker %s\n' "$(tr -d '\n' 2>/dev/null </etc/stormdesk.target)"
[ ! -e /etc/stormdesk.production ] || echo "production yes"
sd_find_base && [ -e "$sd_base/halt" ] && echo "halted yes"
if sd_boot_hook_possible; then echo "boot_hook yes"; else echo "no_boot_hook $sd_why_no_hook"; fi
for rec in "$sd_base"/r-*/; do
  sd_read && [ "$sd_state" != REVERTED ] && echo "active ${rec%/}"
done
for sd_tool in $SD_TOOLS; do
  ! command -v "$sd_tool" >/dev/null 2>&1 || echo "tool $sd_tool"
done
