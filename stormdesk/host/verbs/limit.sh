# Resource limits, lowered to current use. $rec/limited has "<identity> <limit> <soft before> <ours>" for each process.

# Set the soft limit $2 (nofile, nproc) of process $1 to $3 with tool $4; as its own user if root is not allowed to.
sd_set_limit() {
  case $4 in
    prlimit)
      prlimit --pid "$1" "--$2=$3:" 2>/dev/null && return
      sd_owner=$(sed -n 's/^[UG]id:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status")
      setpriv --reuid "${sd_owner%%"$sd_newline"*}" --regid "${sd_owner##*"$sd_newline"}" --clear-groups prlimit --pid "$1" "--$2=$3:"
      ;;
    *)
      # As the process's own user, who is always allowed to. Python without indentation, which the library strips.
      python3 -I -S -c 'import os, resource, sys
ids = dict(line.split(":", 1) for line in open(f"/proc/{sys.argv[1]}/status"))
os.setgroups([])
os.setresgid(*[int(ids["Gid"].split()[0])] * 3)
os.setresuid(*[int(ids["Uid"].split()[0])] * 3)
kind = getattr(resource, "RLIMIT_" + sys.argv[2].upper())
soft = resource.RLIM_INFINITY if sys.argv[3] == "unlimited" else int(sys.argv[3])
resource.prlimit(int(sys.argv[1]), kind, (soft, resource.prlimit(int(sys.argv[1]), kind)[1]))' "$1" "$2" "$3"
      ;;
  esac
}

# Set $sd_soft to the soft limit $2 (nofile, nproc) of process $1.
sd_soft_limit() {
  while read -r _ sd_word sd_what sd_soft _; do
    case $2-$sd_word-$sd_what in
      nofile-open-files) return 0 ;;
      nproc-processes-*) sd_soft=$sd_what; return 0 ;;
    esac
  done 2>/dev/null <"/proc/$1/limits"
  return 1
}

# Lower limit $2 of identity $1 and its children with tool $4, leaving $3 free: descriptors of each process, or processes and
# threads of its user.
sd_limit_family() {
  sd_alive "$1" || return 0
  sd_ours=$(sd_own_pids)
  for sd_pid in $(sd_tree "${1%.*}"); do
    sd_start "$sd_pid" || continue
    sd_one=$sd_pid.$sd_start
    sd_protected "$sd_pid"
    if [ -n "$sd_why" ] || ! sd_soft_limit "$sd_pid" "$2"; then continue; fi
    if [ "$2" = nofile ]; then sd_lowest_free "$sd_pid" "$3"; else sd_tasks "$sd_pid"; sd_least=$((sd_tasks + $3)); fi
    case $sd_soft in unlimited) ;; *) [ "$sd_least" -lt "$sd_soft" ] || continue ;; esac
    if [ "$2" = nofile ]; then sd_mark=Max.open.files; else sd_mark=Max.processes; fi
    sd_alive "$sd_one" && printf '%s\n' "$sd_one $2 $sd_soft $sd_least" >>"$rec/limited" &&
      printf '^%s[^0-9]*%s[^0-9] /proc/%s/limits\n' "$sd_mark" "$sd_least" "$sd_pid" >>"$rec/marks" &&
      sd_set_limit "$sd_pid" "$2" "$sd_least" "$4"
  done
  return 0
}

# Set $sd_least to the lowest unused descriptor number of process $1 after skipping $2. The kernel hands out the lowest free number,
# so under this limit there is none left.
sd_lowest_free() {
  sd_least=0 sd_spare=$2
  while :; do
    if [ ! -L "/proc/$1/fd/$sd_least" ]; then
      [ "$sd_spare" -gt 0 ] || return 0
      sd_spare=$((sd_spare - 1))
    fi
    sd_least=$((sd_least + 1))
  done
}

# Set $sd_tasks to the number of processes and threads of process $1's user.
sd_tasks() {
  sd_uid=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status")
  sd_tasks=$(cat /proc/[0-9]*/status 2>/dev/null | awk -v uid="$sd_uid" '/^Uid:/ { own = $2 == uid } /^Threads:/ && own { n += $2 } END { print n + 0 }')
}

# Restore the soft limits, also of children that inherited ours, unless somebody has changed them since. $1 is the identity, $2 the
# limit, $3 the soft limit at planning time, $4 the tool.
sd_unlimit_family() {
  if [ ! -f "$rec/record" ]; then
    if sd_alive "$1"; then for sd_pid in $(sd_tree "${1%.*}"); do sd_set_limit "$sd_pid" "$2" "$3" "$4"; done; fi
    return 0
  fi
  [ -f "$rec/limited" ] || return 0
  while read -r sd_one _ sd_was sd_least; do
    ! sd_alive "$sd_one" || sd_unlimit "${sd_one%.*}" "$2" "$sd_was" "$sd_least" "$4"
  done <"$rec/limited"
  sd_alive "$1" || return 0
  for sd_pid in $(sd_tree "${1%.*}"); do
    while read -r _ _ sd_was sd_least; do sd_unlimit "$sd_pid" "$2" "$sd_was" "$sd_least" "$4"; done <"$rec/limited"
  done
}

# Set limit $2 of process $1 to $3 with tool $5 if it is $4.
sd_unlimit() {
  sd_soft_limit "$1" "$2" && [ "$sd_soft" = "$4" ] && sd_set_limit "$1" "$2" "$3" "$5" </dev/null
}

# Is limit $2 of identity $1 still ours?
sd_is_limited() {
  sd_alive "$1" && sd_soft_limit "${1%.*}" "$2" && grep -qsx "$1 $2 [^ ]* $sd_soft" "$rec/limited"
}

# Evidence that identity $1 has at most $3 of $2 left: the limit is ours, and the rest is in use.
sd_witness_limited() {
  sd_is_limited "$1" "$2" || { echo "the limit $2 of $1 is not ours"; return 1; }
  if [ "$2" = nofile ]; then
    sd_free=0 sd_least=0
    while [ "$sd_least" -lt "$sd_soft" ]; do
      [ -L "/proc/${1%.*}/fd/$sd_least" ] || sd_free=$((sd_free + 1))
      sd_least=$((sd_least + 1))
    done
    echo "process ${1%.*} may open $sd_soft descriptors, $sd_free of them are free"
  else
    sd_tasks "${1%.*}"
    sd_free=$((sd_soft - sd_tasks))
    echo "the user of process ${1%.*} has $sd_tasks processes and threads, and may have $sd_soft"
  fi
  [ "$sd_free" -le "$3" ]
}

# Like `sd_processes "$2" "$3" "$4"`, then `limit <soft limit $1>` of the process.
sd_target_limit() {
  sd_said=$(sd_processes "$2" "$3" "$4")
  printf '%s\n' "$sd_said"
  sd_top=$(printf '%s\n' "$sd_said" | sed -n 's/^\([0-9]*\)\.[0-9]* .*/\1/p')
  case $sd_top in '' | *[!0-9]*) ;; *) sd_soft_limit "$sd_top" "$1" && echo "limit $sd_soft" ;; esac
}

# The same, then the process's own cgroup, if it has one with a pids limit, and `was <limit>`.
sd_target_pids() {
  sd_target_limit nproc "$1" "$2" "$3"
  case $sd_top in '' | *[!0-9]*) ;; *) sd_own_group "$sd_top" pids pids.max && read -r sd_was <"$sd_group/pids.max" && echo "was $sd_was" ;; esac
}

# Lower the pids limit of cgroup $1 to $2 more than its current number.
sd_pids_full() {
  read -r sd_tasks <"$1/pids.current" && sd_set_file "$1/pids.max" $((sd_tasks + $2))
}

# Evidence that cgroup $1 has at most $2 pids left: the limit is ours, and the rest is in use.
sd_witness_pids() {
  read -r sd_is <"$1/pids.max"
  grep -qsx "[^ ]* $sd_is $1/pids.max" "$rec/set" || { echo "the limit of $1 is not ours"; return 1; }
  read -r sd_tasks <"$1/pids.current"
  sd_free=$((sd_is - sd_tasks))
  echo "$1 has $sd_tasks processes and threads, and may have $sd_is"
  [ "$sd_free" -le "$2" ]
}
