# S9 CLEAR of the record $rec, in the open shell after ask_clear.sh, with the run's own library. Only after a verified revert (15
# otherwise): end what is left of the run, remove the record.
. "$rec/lib.sh"
. "$rec/plan.sh"
sd_read
[ "$sd_state" = REVERTED ] || { echo "refused: the record says ${sd_state:-nothing}"; exit 15; }
# Whoever still works on this record has nothing left to do: watchdogs, and reverters that came second. (busybox grep does
# not see past the first word of a command line.)
sd_end_watchdogs
# Not a pipe: grep finds its own command line too, and must have ended by itself before anything is killed.
found=$(grep -ls -F -e "$rec/watchdog.sh" -e "$rec/revert.sh" -e "$rec/inject.sh" /proc/[0-9]*/cmdline)
for file in $found; do
  pid=${file#/proc/}
  kill -KILL "${pid%/cmdline}" 2>/dev/null
done
sd_release
rm -rf "${rec:?}"
rmdir "$sd_base" 2>/dev/null
exit 0
