# Load on CPUs, memory or a disk. Helper "stressor" of the run creates it, in its own session, which is what is measured.

# Burn $2 percent of $1 CPUs.
sd_burn() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background stressor sh -c '. "$1/lib.sh"; . "$1/verbs.sh"; sd_cores=$2
    while [ "$sd_cores" -gt 1 ]; do sd_burn_one "$3" & sd_cores=$((sd_cores - 1)); done
    sd_burn_one "$3"' sh "$rec" "$1" "$2"
}

# Burn $1 percent of each second on one CPU, and sleep for the rest.
sd_burn_one() {
  while :; do
    sd_now
    sd_until=$((sd_now + $1))
    while [ "$sd_now" -lt "$sd_until" ]; do sd_now; done
    [ "$1" -ge 100 ] || sleep "0.$(printf '%02d' $((100 - $1)))"
  done
}

# Hold $1 MiB of memory in dd's buffers, by leaving its pipe unread. It is the first choice of the OOM killer.
sd_hold_memory() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background stressor sh -c 'echo 1000 >/proc/self/oom_score_adj; left=$1; most=$(($1 / 16)); [ "$most" -ge 16 ] || most=16
    while [ "$left" -gt 0 ]; do
      [ "$most" -le "$left" ] || most=$left
      dd if=/dev/zero bs="${most}M" count=1 2>/dev/null | sleep 1000000 &
      left=$((left - most))
    done
    wait' sh "$1"
}

# The same with stress-ng.
sd_hold_memory_ng() {
  # shellcheck disable=SC2016  # the inner shell expands it
  sd_background stressor sh -c 'echo 1000 >/proc/self/oom_score_adj
    exec stress-ng --quiet --vm 1 --vm-bytes "$1m" --vm-keep --vm-hang 0 --temp-path /tmp' sh "$1"
}

# Set $sd_ticks, $sd_kib and $sd_count: CPU time in centiseconds, memory in KiB, and number of the stressor's processes.
sd_stressor() {
  read -r sd_one 2>/dev/null <"$rec/helper.stressor" || return 1
  # shellcheck disable=SC2046  # three numbers
  set -- $(cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="${sd_one%.*}" '
    { sub(/^.*\) /, ""); if ($4 == session) { ticks += $12 + $13 + $14 + $15; pages += $22; n++ } }
    END { print ticks + 0, pages * 4, n + 0 }')
  sd_ticks=$1 sd_kib=$2 sd_count=$3
  [ "$sd_count" -gt 0 ]
}

# Set $sd_all and $sd_idle: all CPUs' ticks since boot, and the idle ones among them.
sd_processors() {
  # shellcheck disable=SC2034  # fields that nobody needs
  read -r _ sd_user sd_nice sd_system sd_idle sd_io sd_irq sd_soft sd_steal _ </proc/stat
  sd_all=$((sd_user + sd_nice + sd_system + sd_idle + sd_io + sd_irq + sd_soft + sd_steal)) sd_idle=$((sd_idle + sd_io))
}

# Evidence of a load of $2 percent on $1 CPUs, over a second: the stressor got seven tenths of that, or its share of CPUs that were
# less than a twentieth idle.
sd_witness_burns() {
  sd_stressor || { echo "the stressor does not run"; return 1; }
  sd_processors; sd_now
  sd_ticks0=$sd_ticks sd_all0=$sd_all sd_idle0=$sd_idle sd_now0=$sd_now
  sleep 1
  sd_stressor || { echo "the stressor has ended"; return 1; }
  sd_processors; sd_now
  sd_used=$(((sd_ticks - sd_ticks0) * 100 / (sd_now - sd_now0)))
  sd_rest=$(((sd_idle - sd_idle0) * 100 / (sd_all - sd_all0 + 1)))
  sd_psi=
  read -r sd_psi 2>/dev/null </proc/pressure/cpu
  echo "the stressor uses $sd_used % of one CPU, asked for $(($1 * $2)); all CPUs together are $sd_rest % idle; pressure: $sd_psi"
  [ "$sd_used" -ge $(($1 * $2 * 7 / 10)) ] || { [ "$sd_used" -gt 0 ] && [ "$sd_rest" -lt 5 ]; }
}

# Evidence that the stressor holds $1 MiB, within ten seconds.
sd_witness_held() {
  sd_left=100
  until sd_stressor && [ "$sd_kib" -ge $(($1 * 1000)) ]; do
    [ "$sd_left" -gt 0 ] || { echo "the stressor holds $((sd_kib / 1024)) MiB of $1"; return 1; }
    sd_left=$((sd_left - 1))
    sleep 0.1
  done
  sd_available
  echo "the stressor holds $((sd_kib / 1024)) MiB, $((sd_mib)) MiB are available"
}

# Set $sd_mib to the available memory in MiB, as the kernel reports it.
sd_available() {
  while read -r sd_word sd_mib _; do [ "$sd_word" != MemAvailable: ] || break; done </proc/meminfo
  sd_mib=$((sd_mib / 1024))
}

# Baseline: $1 + $2 MiB are available, so that $2 remain when $1 are held.
sd_memory_free() {
  sd_available
  [ "$sd_mib" -ge $(($1 + $2)) ] || { echo "$sd_mib MiB are available, fewer than $1 and $2 to spare"; return 1; }
}
