# sh boot.sh <durable record>: run by /etc/stormdesk/boot when the host starts. A reboot took everything volatile away;
# what survives it is undone here, and a record is left on the tmpfs for `invoke chaos.status`.
durable=$1
. "$durable/lib.sh"
. "$durable/plan.sh"
sd_find_base || exit 1
rec=$sd_base/$SD_RUN
mkdir -p "$rec" && cp "$durable"/* "$rec/" || exit 1
sd_put ''
sd_event intend "fault=$SD_FAULT"
sd_revert boot 100
