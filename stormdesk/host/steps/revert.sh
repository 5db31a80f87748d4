# sh revert.sh <record> <who> <tenths of a second>: S7 REVERT and S8 VERIFY. 0: the host is as it was before; 14: it is not.
rec=$1
trap '' PIPE HUP
. "$rec/lib.sh"
. "$rec/plan.sh"
sd_base=${rec%/*}
sd_revert "$2" "$3" || exit 14
