# Refuse every further inject on this host because of $SD_REASON; after lib.sh, in the open shell.
sd_find_base || exit 1
mkdir -p "$sd_base"
printf '%s\n' "$SD_REASON" >"$sd_base/halt"
