# shellcheck shell=sh
# Sourced by script/demo and script/test (POSIX sh): from a fresh machine to a .venv and a package layer that work.
# Does nothing twice: with all of it there, it takes no network and well under a second.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
me=script/$(basename -- "$0")
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
cd "$root" || exit 3

step() { printf '%s: %s\n' "$me" "$1"; }

# stop <exit code> <what and why> <the way out>
stop() {
  printf '%s: %s. %s\n' "$me" "$2" "$3" >&2
  exit "$1"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Run a step quietly; when it fails, show what it said first of all and the way out, and keep the rest.
quietly() {
  way_out=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    trap - EXIT
    stop 3 "$(grep -m 1 -E '^(E|ERROR): ' "$log" || tail -n 1 "$log")" "$way_out   (all of it: $log)"
  fi
}

check_machine() {
  [ "$(uname -s)" = Linux ] || stop 3 "the lab needs Linux" "Run it in a Linux virtual machine"
  [ "$(id -u)" = 0 ] || stop 3 "the lab needs root (namespaces, mounts)" "Type: sudo $me"
  ! has unshare || unshare --mount --net --pid --fork true 2>/dev/null ||
    stop 3 "this root may make no namespaces (a container without privileges?)" "Use a virtual machine, or docker run --privileged"
}

# The first Python of at least 3.11 that can make virtual environments; empty when there is none.
find_python() {
  for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    if has "$candidate" &&
      "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

# The only packages that go onto the machine itself, and only where their tools are missing.
install_tools() {
  missing=
  has ip || missing="$missing iproute2"
  has mkfs.ext4 || missing="$missing e2fsprogs"
  has unshare && has mount && has flock || missing="$missing util-linux"
  has ssh || missing="$missing openssh-client"
  [ -n "$(find_python)" ] || missing="$missing python3-venv"
  [ -n "$missing" ] || return 0
  has apt-get || stop 3 "missing here:$missing" "Install them with your package manager, then type: $me"
  step "installing on this machine:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  # a list of words
  apt-get -q -y --no-install-recommends install $missing >"$log" 2>&1 || {
    apt-get -q update >"$log" 2>&1 || true
    quietly "Is there a network? Then type: $me" apt-get -q -y --no-install-recommends install $missing
  }
  [ -n "$(find_python)" ] || stop 3 "no Python of at least 3.11 here" "Install Python 3.11, then type: $me"
}

# .venv from the lock, every file checked by its hash. The stamp says which lock it was made from, and comes last.
make_venv() {
  stamp=$(cat requirements-dev.lock pyproject.toml | sha256sum | cut -d ' ' -f 1)
  if [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ] && .venv/bin/python -c 'import stormdesk' 2>/dev/null; then
    return 0
  fi
  python=$(find_python)
  step "making .venv with $("$python" -V) ($(grep -c '==' requirements-dev.lock) packages, pinned by hash)"
  .venv/bin/python -c '' 2>/dev/null || rm -rf .venv
  quietly "Type: rm -r .venv, then: $me" "$python" -m venv .venv
  quietly "Is there a network? Then type: $me" .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
  quietly "Type: rm -r .venv, then: $me" .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  printf '%s\n' "$stamp" >.venv/stamp
}

make_layer() {
  .venv/bin/python -P -m stormdesk.infra.backends.lab.layer || exit $?
}

# The hosts of stacks with Kafka. Where it cannot be made, their tests skip, or fail when CI is set.
make_kafka() {
  .venv/bin/python -P -m stormdesk.infra.backends.lab.layer kafka || step "tests of Kafka will not run"
}

# The engine that some tests drive. Where none can be got, they skip, or fail when CI is set.
make_engine() {
  { why=$(.venv/bin/invoke doctor --install pulumi 2>&1 >&3) || step "tests of the Pulumi engine will not run: $why"; } 3>&1
}

# Everything that the lab and the tests need. One run at a time works on a checkout.
set_up() {
  check_machine
  log=$(mktemp) || exit 3
  trap 'rm -f "$log"' EXIT
  trap 'exit 130' INT TERM HUP
  install_tools
  exec 9<"$root"
  flock 9
  make_venv
  make_layer
  exec 9<&-
  rm -f "$log"
  trap - EXIT INT TERM HUP
}
