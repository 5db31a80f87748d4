# S9 in the open shell, after lib.sh; $SD_RUN is set. Set $rec; clear.sh follows.
sd_find_base
rec=$sd_base/$SD_RUN
[ -d "$rec" ] && [ ! -e "$rec/fenced" ] || exit 0
