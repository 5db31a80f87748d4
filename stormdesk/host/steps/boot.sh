# sh boot.sh <durable record> [<who>]: after a restart of the host, run by /etc/stormdesk/boot when it starts, else by <who> finds
# the durable record. The restart took everything volatile away; what survives it is undone here, and a record is left on the
# tmpfs for `invoke chaos.status`.
durable=$1
. "$durable/lib.sh"
. "$durable/plan.sh"
sd_find_base || exit 1
rec=$sd_base/$SD_RUN
mkdir -p "$rec" && cp "$durable"/* "$rec/" || exit 1
: >"$rec/restarted"
sd_put ''
sd_event intend "fault=$SD_FAULT restarted=1"
sd_revert "${2:-boot}" 100
