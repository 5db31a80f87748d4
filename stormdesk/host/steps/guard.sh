# First lines of an arm script, in the open shell: nothing has been written yet. $SD_RUN, $SD_MARKER, $SD_BOOT_ID and
# $SD_NOT_AFTER (seconds since boot) are set.
sd_refuse() {
  printf '%s\n' "refused $*"
  [ -z "$rec" ] || rm -rf "${rec:?}"
  exit 10
}
rec=
umask 077
while read -r sd_line _ sd_uid _ && [ "$sd_line" != Uid: ]; do :; done </proc/self/status
[ "$sd_uid" = 0 ] || sd_refuse "not root on this host"
[ ! -e /etc/stormdesk.production ] || sd_refuse "/etc/stormdesk.production is there: this host is in production"
sd_said=
while IFS= read -r sd_line || [ -n "$sd_line" ]; do sd_said=$sd_said$sd_line; done 2>/dev/null </etc/stormdesk.target
[ "$sd_said" = "$SD_MARKER" ] || sd_refuse "/etc/stormdesk.target changed since the plan was made"
read -r sd_said </proc/sys/kernel/random/boot_id
[ "$sd_said" = "$SD_BOOT_ID" ] || sd_refuse "this host restarted since the plan was made"
# A stale script, delivered late: its controller has given up, and nobody would know of the fault.
IFS=' ' read -r sd_up _ </proc/uptime
[ "${sd_up%.*}" -le "$SD_NOT_AFTER" ] || sd_refuse "too late: the controller has stopped waiting for this"
sd_base=
for sd_try in /run /dev/shm; do
  grep -qs "^[^ ]* $sd_try tmpfs " /proc/mounts && sd_base=$sd_try/stormdesk && break
done
[ -n "$sd_base" ] || sd_refuse "neither /run nor /dev/shm is a tmpfs: there is no place that a fault cannot fill"
[ ! -e "$sd_base/halt" ] || sd_refuse "halted: $(cat "$sd_base/halt")   (invoke chaos.halt --lift)"
# The last run that ends takes the folder away with it: it may go between the two.
sd_try=0
until mkdir -p "$sd_base" && mkdir "$sd_base/$SD_RUN" 2>/dev/null; do
  [ ! -e "$sd_base/$SD_RUN/fenced" ] || sd_refuse "fenced: the controller gave run $SD_RUN up before this came"
  [ ! -e "$sd_base/$SD_RUN" ] || sd_refuse "run $SD_RUN is already on this host"
  sd_try=$((sd_try + 1))
  [ "$sd_try" -lt 10 ] || sd_refuse "cannot write below $sd_base"
done
rec=$sd_base/$SD_RUN
