# Cgroups, v1 or v2.

# Set $sd_group to the cgroup folder of process $1 for controller $2: in v1 if a hierarchy has it, else in v2. Fail if none is
# mounted, or if the process is in none that is visible here.
sd_cgroup() {
  sd_one='' sd_two=''
  while IFS=: read -r _ sd_has sd_path; do
    case ",$sd_has," in *",$2,"*) sd_one=$sd_path ;; ,,) sd_two=$sd_path ;; esac
  done 2>/dev/null <"/proc/$1/cgroup"
  if [ -n "$sd_one" ] && sd_mounted "$sd_one" cgroup "$2"; then return 0; fi
  sd_mounted "$sd_two" cgroup2 ''
}

# Set $sd_group to the folder of group $1 in the hierarchy of file system type $2, with controller $3 among its mount options.
sd_mounted() {
  sd_group=
  case $1 in '' | /../* | /..) return 1 ;; esac
  while IFS=' ' read -r _ _ _ sd_top sd_at sd_rest; do
    case "$sd_rest," in *" - $2 "*[\ ,]"$3,"* | *" - cgroup2 "*) ;; *) continue ;; esac
    case $sd_rest in *" - $2 "*) ;; *) continue ;; esac
    [ "$sd_top" != / ] || sd_top=
    case $1/ in "$sd_top"/*) sd_group=$sd_at${1#"$sd_top"}; sd_group=${sd_group%/}; [ -d "$sd_group" ] && return ;; esac
  done </proc/self/mountinfo
  sd_group=
  return 1
}

# Print `group <folder>` for the cgroup of process $1 and controller $2, if it has file $3 and contains only that process and its
# descendants; else print `group no: <why>` and fail.
sd_own_group() {
  sd_cgroup "$1" "$2" || { echo "group no: no cgroup with $2 is mounted here"; return 1; }
  [ -w "$sd_group/$3" ] || { echo "group no: $sd_group has no $3"; return 1; }
  sd_inside=$(cat "$sd_group/cgroup.procs")
  sd_family=$(sd_tree "$1")  # afterwards, so that a child forked meanwhile does not count as foreign
  for sd_pid in $sd_inside; do
    [ "$sd_pid" = 0 ] || [ -e "/proc/$sd_pid" ] || continue
    case "$sd_newline$sd_family$sd_newline" in
      *"$sd_newline$sd_pid$sd_newline"*) ;;
      *) echo "group no: its cgroup contains other processes too, such as $sd_pid"; return 1 ;;
    esac
  done
  for sd_below in "$sd_group"/*/cgroup.procs; do
    ! read -r _ 2>/dev/null <"$sd_below" || { echo "group no: its cgroup has child groups"; return 1; }
  done
  echo "group $sd_group"
}

# Like `sd_processes "$3" "$4" "$5"`, followed by sd_own_group's answer for the process, controller $1 and file $2.
sd_target_group() {
  sd_said=$(sd_processes "$3" "$4" "$5")
  printf '%s\n' "$sd_said"
  sd_top=$(printf '%s\n' "$sd_said" | sed -n 's/^\([0-9]*\)\.[0-9]* .*/\1/p')
  case $sd_top in '' | *[!0-9]*) ;; *) sd_own_group "$sd_top" "$1" "$2" ;; esac
}

# Print the control group for controller $1 that we are in, below which one for helpers can be made; else "no: <why>". What limits us
# limits them, too.
sd_parent_group() {
  sd_cgroup $$ "$1" || { echo "no: no control group with $1 is mounted here"; return; }
  if [ -w "$sd_group/cgroup.procs" ]; then echo "$sd_group"; else echo "no: $sd_group cannot be written to"; fi
}

# Make control group $1. Helpers of this run that start from now on are in it.
sd_make_group() {
  mkdir "$1" && printf '%s\n' "$1" >"$rec/group"
}

# Control group $1 is gone, and so is what is in it: it was started there by us. Shell builtins and rmdir.
sd_end_group() {
  sd_left=50
  while [ -d "$1" ] && [ "$sd_left" -gt 0 ]; do
    while read -r sd_pid; do [ "$sd_pid" = 0 ] || kill -KILL "$sd_pid"; done <"$1/cgroup.procs"
    rmdir "$1" 2>/dev/null || sleep 0.05
    sd_left=$((sd_left - 1))
  done
}
