# After print.sh of a revert that was not verified ($code): both fingerprints.
[ -n "$code" ] || exit 0
. "$rec/plan.sh"
sd_own_part <"$rec/before" | sed 's/^/before /'
sd_fingerprint | sd_by_kind | sd_own_part | sed 's/^/after /'
exit "$code"
