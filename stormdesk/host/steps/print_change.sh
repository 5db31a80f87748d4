# After print.sh of a revert that was not verified ($code): both fingerprints.
[ -n "$code" ] || exit 0
. "$rec/plan.sh"
cat "$rec/before" "$rec/space" | sd_by_kind | sd_own_part | sed 's/^/before /'
{ sd_fingerprint; sd_space; } | sd_by_kind | sd_own_part | sed 's/^/after /'
exit "$code"
