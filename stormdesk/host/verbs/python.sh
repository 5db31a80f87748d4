# Programs of Python's standard library: verbs/<name>.py, which the library packs into $sd_<name>_py.

# Run the packed program $2 with "$3.."; in the background as helper $1 of this run, unless $1 is "".
sd_python() {
  sd_as=$1
  shift
  set -- python3 -c 'import base64, sys, zlib; exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))))' "$@"
  if [ -n "$sd_as" ]; then sd_background "$sd_as" "$@"; else "$@"; fi
}
