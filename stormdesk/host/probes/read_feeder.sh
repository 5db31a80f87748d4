# <data folder> <base URL>: for each symbol that the feeder has a file of, its name, what was received, the feeder's book.
for file in "$1"/feeder/md/*.jsonl; do
  symbol=${file##*/}
  symbol=${symbol%.jsonl}
  printf %s "$symbol" | pack
  { [ ! -f "$file.1" ] || cat -- "$file.1"; cat -- "$file"; echo "exit $?" >&2; } | pack
  { curl -sS -f -m 8 "$2/book?symbol=$symbol"; echo "exit $?" >&2; } | pack
done
