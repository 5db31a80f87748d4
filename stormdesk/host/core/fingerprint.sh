# The fingerprint: what must be as before once a fault is undone.

# Print lines of command "$@" after the word $sd_kind. A missing tool and a failed read are distinct results:
# "absent" is a fact, "!error" can never equal a good reading.
sd_section() {
  if ! command -v "$1" >/dev/null 2>&1; then
    echo "$sd_kind absent"
    return
  fi
  sd_text=$("$@" 2>/dev/null) || {
    sd_code=$?
    # A kernel without IPv6, or without netfilter, says so; that too is a fact.
    case $("$@" 2>&1 >/dev/null) in
      *'not supported'*) echo "$sd_kind absent" ;;
      *) echo "$sd_kind !error $* $sd_code" ;;
    esac
    return
  }
  [ -z "$sd_text" ] || printf '%s\n' "$sd_text" | sed "s/^/$sd_kind /"
}

# The strict fingerprint: everything that must be as before once a fault is undone. Counters, lifetimes, interface
# statistics and duplicate-address detection in progress ("tentative", and the local IPv6 route that the kernel adds when it
# is over) are not state of the host and are taken out.
sd_fingerprint() {
  sd_kind='link'; sd_section ip -o link show
  sd_kind=addr; sd_section ip -o addr show | sed 's/ *valid_lft [^ ]* preferred_lft [^ ]*//; s/ tentative//; s/ optimistic//' | sort
  sd_kind=route4; sd_section ip -4 route show table all | sort
  sd_kind=route6; sd_section ip -6 route show table all | sed '/ table local proto kernel /d; s/ expires [0-9]*sec//' | sort
  sd_kind=neigh
  sd_section ip -o neigh show nud permanent | sed 's/ used .* PERMANENT/ PERMANENT/' | sort
  sd_section ip -o neigh show proxy | sort
  sd_kind=rule4; sd_section ip -4 rule show
  sd_kind=rule6; sd_section ip -6 rule show
  sd_kind=qdisc; sd_section tc qdisc show | sed 's/ refcnt [0-9]*//; s/ direct_packets_stat [0-9]*//'
  sd_classes
  sd_kind=iptables; sd_section iptables-save | sed '/^iptables #/d; s/\[[0-9]*:[0-9]*\]//'
  sd_kind=ip6tables; sd_section ip6tables-save | sed '/^ip6tables #/d; s/\[[0-9]*:[0-9]*\]//'
  sd_kind=nft; sd_section nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]*/counter/; s/ expires [0-9a-z]*//g'
  sd_kind=mount; sd_section cut -d' ' -f3- /proc/self/mountinfo
  sd_kind=sysctl
  grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/core /proc/sys/vm |
    grep -v -e stat_refresh -e compact_memory -e '/nf_conntrack_' | sort | sed "s/^/sysctl /"
  sd_services
  sd_kind='file'
  for sd_file in /etc/hosts /etc/resolv.conf /etc/passwd; do sd_file_print "$sd_file"; done
  # shellcheck disable=SC2153  # the plan's, and not sd_files
  printf '%s\n' "$SD_FILES" | while IFS= read -r sd_file; do [ -z "$sd_file" ] || sd_file_print "$sd_file"; done
}

# Classes and filters of every qdisc that can have some: tc shows none of them unless it is asked for one place at a time.
sd_classes() {
  command -v tc >/dev/null 2>&1 || return
  tc qdisc show 2>/dev/null | while read -r _ sd_qdisc sd_handle _ sd_dev _; do
    case $sd_qdisc in
      noqueue | pfifo_fast | pfifo | bfifo | mq) continue ;;
      clsact) set -- ingress egress ;;
      ingress) set -- ingress ;;
      *) set -- "parent $sd_handle"; sd_kind="class"; sd_section tc class show dev "$sd_dev" ;;
    esac
    for sd_where; do
      echo "filter of $sd_dev $sd_where"
      sd_kind=filter
      # shellcheck disable=SC2086  # parent and handle, two words
      sd_section tc filter show dev "$sd_dev" $sd_where
    done
  done
}

# One line for a file: mode, owner, inode, sha256; or that there is none.
sd_file_print() {
  if [ ! -e "$1" ]; then
    echo "file $1 none$(readlink "$1" | sed 's/^/, a link to /')"
  else
    echo "file $1 $(stat -c '%f %u %g %i' "$1" 2>/dev/null || echo '!error') $(sha256sum <"$1" 2>/dev/null || echo '!error')"
  fi
}

# States of the services that managers run here (there may be two); their own answers, without pids and times.
sd_services() {
  if [ -S /run/supervisor.sock ]; then
    sd_text=$(timeout 10 supervisorctl status 2>&1)
    # It ends with 3 when something is not running: that is an answer.
    case $? in
      0 | 3) [ -z "$sd_text" ] || printf '%s\n' "$sd_text" | sed 's/^\([^ ]*\) *\([A-Z]*\).*/service \1 \2/' ;;
      *) printf 'service !error supervisorctl status: %s\n' "$(printf '%.200s' "$sd_text" | tr '\n' ' ')" ;;
    esac
  elif [ ! -d /run/systemd/system ]; then
    echo "service absent"
  fi
  [ -d /run/systemd/system ] || return 0
  sd_text=$(systemctl list-units --type=service --all --plain --no-legend 2>/dev/null) || { echo 'service !error systemctl list-units'; return; }
  printf '%s\n' "$sd_text" | sed 's/^\([^ ]*\) *[^ ]* *\([^ ]*\).*/service \1 \2/' | sort
}

# "<KiB used> <path>" for each path in $SD_SPACES; nothing where df cannot tell. No file is looked at, however many there are.
sd_space() {
  printf '%s\n' "$SD_SPACES" | while IFS= read -r sd_path; do
    [ -z "$sd_path" ] || df -Pk "$sd_path" 2>/dev/null | tail -n 1 | { read -r _ _ sd_used _ && echo "$sd_used $sd_path"; }
  done
}

# Read a fingerprint, print it kind after kind. Within one kind the order stays: that of rules is part of what they do.
sd_by_kind() {
  sort -s -k 1,1
}
