# <URL>...: the body of each.
for url; do { curl -sS -f -m 8 "$url"; echo "exit $?" >&2; } | pack; done
