# After print.sh of a revert: whose the changes were, a line each. $code is that of the revert, or empty.
for file in ours side; do
  [ ! -f "$rec/$file" ] || head -n 200 "$rec/$file" | sed "s/^/$file /"
done
[ ! -f "$rec/judged" ] || head -n 400 "$rec/judged"
exit "${code:-0}"
