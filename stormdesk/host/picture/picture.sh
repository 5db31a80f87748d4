# A picture of the host: facts, one a line, `<kind> <object> <attribute> <value>`. Two pictures are compared line by line.

# Print what command "$@" says as part of kind $1. A missing tool is a fact; a kernel without IPv6 or netfilter says so, which is
# one too; any other failure is an error, which never equals a good reading.
sd_ask() {
  echo "=$1"
  shift
  command -v "$1" >/dev/null 2>&1 || { echo '~'; return; }
  "$@" 2>/dev/null || {
    sd_code=$?
    case $("$@" 2>&1 >/dev/null) in *'not supported'*) echo '~' ;; *) echo "!$* $sd_code" ;; esac
  }
}

# Take a picture and print it. It costs about a dozen processes, and walks no user data, however much there is. One that breaks off, as
# where no process can be started, says so: what it does not show is not gone.
sd_picture() {
  {
    sd_network 4
    sd_network 6
    sd_queueing
    sd_netfilter
    sd_sysctls
    echo '=file'
    sd_files "/etc/hosts
/etc/resolv.conf
/etc/passwd
$SD_FILES"
    echo '=process'
    sd_stopped_by_us
    sd_helpers
    sd_marks
    sd_services
    echo '=end'
  } | awk "$sd_facts_awk" - /proc/self/mountinfo || echo 'host !error awk'
}

# Links, addresses, neighbours, rules, nexthops and routes of family $1: by one process, where ip can do that.
sd_network() {
  echo "=network$1"
  [ "$1" = 6 ] && sd_links= || sd_links='link show'
  sd_text=$(
    ip "-$1" -o -b - 2>/dev/null <<END
$sd_links
addr show
neigh show nud permanent
neigh show proxy
rule show
nexthop show
route show table all
END
  ) && { printf '%s\n' "$sd_text"; return; }
  [ "$1" = 6 ] || sd_ask network4 ip -o link show
  for sd_what in 'addr show' 'rule show' 'route show table all'; do
    # shellcheck disable=SC2086  # the words of a command
    sd_ask "network$1" ip -o "-$1" $sd_what
  done
  for sd_what in 'neigh show nud permanent' 'neigh show proxy' 'nexthop show'; do
    # shellcheck disable=SC2086  # the words of a command
    ip -o "-$1" $sd_what 2>/dev/null
  done
}

# Queueing disciplines, with classes and filters of those that can have some: tc shows none unless asked for one place at a time.
sd_queueing() {
  sd_text=$(tc qdisc show 2>/dev/null) || { sd_ask qdisc tc qdisc show; return; }
  printf '=qdisc\n%s\n' "$sd_text"
  while read -r _ sd_qdisc sd_handle _ sd_dev _; do
    case $sd_qdisc in
      '' | noqueue | pfifo_fast | pfifo | bfifo | mq) continue ;;
      clsact) set -- ingress egress ;;
      ingress) set -- ingress ;;
      *) set -- "parent $sd_handle"; sd_ask class tc class show dev "$sd_dev" ;;
    esac
    for sd_where; do
      # shellcheck disable=SC2086  # parent and handle, two words
      sd_ask "filter" tc filter show dev "$sd_dev" $sd_where | sed "1!s|^|$sd_dev $sd_where: |"
    done
  done <<END
$sd_text
END
}

# Of each interface the settings that people make, of a hundred, as a host may have many; of those that the run holds, all. They are
# named, as a pattern for each would read every folder once more; head costs less than grep; and who reads vm/stat_refresh makes every
# processor count anew.
sd_sysctls() {
  echo '=sysctl'
  cd /proc/sys || echo '!cd'
  for sd_dir in net/ipv4/conf/*; do
    set -- "$@" "$sd_dir"/accept_local "$sd_dir"/arp_accept "$sd_dir"/arp_announce "$sd_dir"/arp_filter "$sd_dir"/arp_ignore \
      "$sd_dir"/log_martians "$sd_dir"/proxy_arp "$sd_dir"/rp_filter "$sd_dir"/send_redirects
  done
  for sd_dir in net/ipv6/conf/*; do
    set -- "$@" "$sd_dir"/accept_dad "$sd_dir"/accept_ra "$sd_dir"/accept_ra_defrtr "$sd_dir"/addr_gen_mode "$sd_dir"/autoconf \
      "$sd_dir"/disable_ipv6 "$sd_dir"/hop_limit "$sd_dir"/keep_addr_on_down "$sd_dir"/proxy_ndp "$sd_dir"/use_tempaddr
  done
  for sd_dir in net/ipv[46]/conf/*; do
    set -- "$@" "$sd_dir"/accept_redirects "$sd_dir"/accept_source_route "$sd_dir"/forwarding
  done
  for sd_what in $SD_RESOURCES; do
    case $sd_what in link:*) set -- "$@" net/ipv[46]/*/"${sd_what#link:}"/* ;; esac
  done
  head -n 99 "$@" net/ipv[46]/* net/ipv[46]/neigh/default/* net/core/* vm/*[!h] 2>/dev/null
  [ $? -le 1 ] || echo '!head'
}

# Rules of netfilter. nft sees those that iptables makes with it, too; tables of the old kind are there once the kernel names some.
sd_netfilter() {
  sd_old=
  read -r sd_old 2>/dev/null </proc/net/ip_tables_names || read -r sd_old 2>/dev/null </proc/net/ip6_tables_names
  sd_savers='iptables-save ip6tables-save'
  if command -v nft >/dev/null 2>&1; then sd_ask nft nft -s -t list ruleset; sd_savers=; fi
  if [ -n "$sd_old" ]; then
    if command -v iptables-legacy-save >/dev/null 2>&1; then
      sd_savers="$sd_savers iptables-legacy-save ip6tables-legacy-save"
    else
      sd_savers='iptables-save ip6tables-save'
    fi
  fi
  for sd_saver in $sd_savers; do sd_ask "${sd_saver%%-*}" "$sd_saver"; done
}

# Which of the services $SD_SERVICES (`<manager> <name>`, one a line) run. supervisord need not be asked, which takes long: each
# process that it starts leads a group, and has its name in its environment.
sd_services() {
  case $SD_SERVICES in
    *systemd\ *)
      echo '=systemd'
      sd_units=$(printf '%s\n' "$SD_SERVICES" | sed -n 's/^systemd //p')
      # shellcheck disable=SC2086  # names of units, one word each
      systemctl show -p Id -p ActiveState $sd_units 2>/dev/null || echo '!systemctl show'
      ;;
  esac
  case $SD_SERVICES in
    *supervisor\ *)
      echo '=supervised'
      tail -c +1 /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'
      ;;
  esac
}

# Mode, owner and content of each of the files $1, one a line; or that there is none. What a fault filled is large: it is not read. A
# line `mode <file>` asks for the first two alone: its service goes on writing into it.
sd_files() {
  while IFS= read -r sd_file; do
    case $sd_file in
      'mode '*)
        stat -c '%n mode %f %u %g' -- "${sd_file#mode }" 2>/dev/null || echo "${sd_file#mode } is not there"
        continue
        ;;
    esac
    if [ -f "$sd_file" ] && [ ! -L "$sd_file" ]; then
      case $sd_file in
        /etc/*) set -- "$@" "$sd_file" ;;
        *) if [ "$(stat -c %s "$sd_file")" -le 1048576 ]; then set -- "$@" "$sd_file"; else echo "$sd_file is large"; fi ;;
      esac
    elif [ -L "$sd_file" ]; then
      echo "$sd_file links to $(readlink "$sd_file") $(sha256sum 2>/dev/null <"$sd_file")"
    elif [ -n "$sd_file" ]; then
      if [ -e "$sd_file" ]; then echo "$sd_file is no file"; else echo "$sd_file is not there"; fi
    fi
  done <<END
$1
END
  shift
  [ $# -gt 0 ] || return 0
  stat -c '%n mode %f %u %g' -- "$@" 2>/dev/null || echo '!stat'
  sha256sum -- "$@" 2>/dev/null || echo '!sha256sum'
}

# Processes that this run stopped and that still are.
sd_stopped_by_us() {
  [ -f "$rec/stopped" ] || return 0
  while read -r sd_one; do
    sd_alive "$sd_one" || continue
    case $sd_stat in T*) echo "$sd_one is stopped" ;; esac
  done <"$rec/stopped"
}

# What verbs have noted of this run: "<pattern> <file>", for a file of the kernel that has a line like that while it is in.
sd_marks() {
  [ -f "$rec/marks" ] || return 0
  while read -r sd_mark sd_file; do ! grep -qs "$sd_mark" "$sd_file" || echo "$sd_file $sd_mark"; done <"$rec/marks"
}

# Helpers of this run that still run.
sd_helpers() {
  for sd_file in "$rec"/helper.*; do
    read -r sd_one 2>/dev/null <"$sd_file" && sd_alive "$sd_one" && echo "helper ${sd_file##*/helper.} runs"
  done
  return 0
}

# "<KiB used> <path>" for each path in $SD_SPACES; nothing where df cannot tell. No file is looked at, however many there are.
sd_space() {
  [ -n "$SD_SPACES" ] || return 0
  printf '%s\n' "$SD_SPACES" | while IFS= read -r sd_path; do
    [ -z "$sd_path" ] || df -Pk "$sd_path" 2>/dev/null | tail -n 1 | { read -r _ _ sd_used _ && echo "$sd_used $sd_path"; }
  done
}

# Note where used space differs from $rec/space by more than 16 MiB: others use a volume too, so that this is no verdict.
sd_space_note() {
  [ -n "$SD_SPACES" ] || return 0
  sd_space | while read -r sd_used sd_path; do
    while read -r sd_used0 sd_path0; do
      sd_more=$((sd_used - sd_used0))
      [ "$sd_path" != "$sd_path0" ] || [ "${sd_more#-}" -le 16384 ] ||
        sd_note "space_kib=$([ "$sd_more" -lt 0 ] || echo +)$sd_more in $sd_path"
    done <"$rec/space"
  done
}
