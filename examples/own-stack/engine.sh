#!/bin/sh
# The engine that trades here: numbers each order in a journal, and gives a number out again when it could not be written.
# usage: engine.sh FOLDER
seq=0
while :; do
  if printf '%08d\n' "$((seq + 1))" >>"$1/engine.journal" 2>/dev/null; then seq=$((seq + 1)); fi
  sleep 0.1
done
