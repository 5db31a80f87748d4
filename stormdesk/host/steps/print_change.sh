# After print.sh of a revert: whose the changes were, a line each. $code is that of the revert, or empty.
for file in ours side; do
  [ ! -f "$rec/$file" ] || sed "s/^/$file /; 200q" "$rec/$file"
done
[ ! -f "$rec/judged" ] || head -n 400 "$rec/judged"
exit "${code:-0}"
