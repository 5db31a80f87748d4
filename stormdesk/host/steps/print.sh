# Print the record that $rec is, in the open shell.
read -r sd_up _ </proc/uptime
echo "uptime $sd_up"
echo "run $SD_RUN ${rec%/*}"
sed 's/ *$//; /^$/d; s/^/line /' "$rec/record"
