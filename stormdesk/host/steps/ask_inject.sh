# S4-S5 of a run that is armed, in the open shell: $SD_RUN and $sd_base are set.
rec=$sd_base/$SD_RUN
[ -d "$rec" ] || { echo "refused this host has no record of $SD_RUN"; exit 11; }
