# <data folder> <state file>...: a trader's ledger; what it has put aside of it; its state files and its guard's, one a line:
# path, time of the last change, content in base64.
data=$1
shift
[ -f "$data/trader/ledger.jsonl" ] || { echo "no file $data/trader/ledger.jsonl" >&2; exit 1; }
{ cat -- "$data/trader/ledger.jsonl"; echo "exit $?" >&2; } | pack
{ [ ! -f "$data/trader/ledger.quarantine" ] || cat -- "$data/trader/ledger.quarantine"; echo "exit $?" >&2; } | pack
for path; do
  for folder in trader guard; do
    file=$data/$folder/$path
    [ ! -f "$file" ] || printf '%s %s %s\n' "$path" "$(stat -c %.9Y "$file")" "$(base64 <"$file" | tr -d '\n')"
  done
done | pack
