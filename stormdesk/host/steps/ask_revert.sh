# S7-S8 in the open shell, after lib.sh. $SD_RUN, $SD_WHO, $SD_PATIENCE (tenths of a second) and $SD_FENCE_UNTIL (centiseconds
# since boot, 0: no arming can be on its way) are set. Prints `gone` or `unfenced` where there is no such run.
sd_find_base
rec=$sd_base/$SD_RUN
# After a restart without a boot hook only the durable record is left.
durable=$sd_durable/$SD_RUN
[ -d "$rec" ] || [ ! -f "$durable/complete" ] || sh "$durable/boot.sh" "$durable" "$SD_WHO"
if ! sd_read || [ -z "$sd_state" ]; then
  if sd_keep_out "$SD_FENCE_UNTIL"; then echo gone; else echo unfenced; fi
  exit 0
fi
code=
sh "$rec/revert.sh" "$rec" "$SD_WHO" "$SD_PATIENCE" || code=$?
