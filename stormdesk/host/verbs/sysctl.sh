# Verbs on sysctls, each by its path below /proc/sys.

# Set $sd_value to the value of sysctl $1, with single spaces. The kernel returns it to a single read only, and the shell's own read
# goes byte by byte.
sd_sysctl_now() {
  sd_value=$(cat "$1")
  set -f
  # shellcheck disable=SC2086  # its words
  set -- $sd_value
  set +f
  sd_value=$*
}

# Is the value of sysctl $1 $2?
sd_sysctl_is() {
  sd_sysctl_now "$1"
  echo "$1 is $sd_value"
  [ "$sd_value" = "$2" ]
}

# Set sysctl $1 to $2.
sd_sysctl() {
  printf '%s\n' "$2" >"$1"
}

# Restore sysctl $1 to $3 if it is still $2, which we set: otherwise somebody else has changed it since.
sd_sysctl_back() {
  sd_sysctl_now "$1"
  [ "$sd_value" != "$2" ] || printf '%s\n' "$3" >"$1"
}

# Can each of the sysctls "$@" be written?
sd_sysctl_writable() {
  for sd_path; do [ -w "$sd_path" ] && (: >>"$sd_path") 2>/dev/null || return 1; done
}

# Can a process on this host still get an ephemeral port? It connects to this host's own closed port 1: "refused" means yes.
sd_connects() {
  sd_said=$(curl -sv -m 2 http://127.0.0.1:1/ 2>&1)
  sd_said=$(printf '%s\n' "$sd_said" | grep -m 1 -e refused -e 'assign requested') || sd_said='curl does not say'
  echo "a new connection: $sd_said"
  case $sd_said in *refused*) ;; *) return 1 ;; esac
}

# Evidence that it cannot.
sd_connects_not() {
  sd_connects
  case $sd_said in *'assign requested'*) ;; *) return 1 ;; esac
}
