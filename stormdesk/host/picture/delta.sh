# Whose change is it? Four pictures: before the fault, during it, last (right before the undo) and after.
#
# What changed from before to during, in the kinds that the plan touches, is *ours*; what else changed then is a *side effect*; all
# the rest is *others'*: an operator's, a lease's, another run's. Expected afterwards is the last picture, without what ours
# added and with what ours removed. So what others change meanwhile stays, and runs may end in any order.

# What other runs hold changed on this host right now: `+ <fact>` or `- <fact>`.
sd_claims() {
  for sd_other in "$sd_base"/r-*/; do
    [ "$sd_other" != "$rec/" ] && [ -s "$sd_other/ours" ] || continue
    (rec=${sd_other%/}; sd_read; [ "$sd_state" != REVERTED ]) && cat "$sd_other/ours"
  done
}

# The sections for picture/delta.awk that never change in a run; it reads $rec/before itself.
sd_known() {
  printf '=touches\n%s\n=files\n%s\n=claims\n' "$SD_TOUCHES" "$SD_FILES"
  sd_claims
}

# Take the picture during the fault, and keep what is ours ($rec/ours) and what is a side effect ($rec/side). Where that fails,
# what has changed when it is undone counts as ours.
sd_take_ours() {
  sd_changes=$({ sd_known; echo '=after'; sd_picture; } | awk -v mode=changes "$sd_delta_awk" - section=before "$rec/before") || return
  case $sd_changes in *' !error '*) return 1 ;; esac
  {
    while IFS= read -r sd_line; do
      case $sd_line in
        'ours '*) printf '%s\n' "${sd_line#ours }" ;;
        'side '*) printf '%s\n' "${sd_line#side }" >&3 ;;
      esac || return
    done <<END
$sd_changes
END
  } >"$rec/ours.new" 3>"$rec/side" && mv "$rec/ours.new" "$rec/ours"
}

# Is the host as expected, given the last picture $1? Sets $sd_judged: a line for each fact that differs from the picture before.
sd_verify() {
  sd_after=$(sd_picture) || sd_after='host !error'
  case $sd_after in
    *'!error'*) sd_judged=$(printf '%s\n' "$sd_after" | sed -n '/ !error /s/^/left + /p'); return 1 ;;
  esac
  set -- "$1" section=before "$rec/before"
  [ ! -f "$rec/ours" ] || set -- "$@" known=1 section=ours "$rec/ours" section=side "$rec/side"
  sd_judged=$({
    sd_known
    printf '=last\n%s\n=after\n%s\n' "$1" "$sd_after"
  } | { shift; awk "$sd_delta_awk" - "$@"; }) || return 1
  case $sd_newline$sd_judged in *"${sd_newline}left "*) return 1 ;; esac
}

# Put back what is left missing and only the kernel took: addresses, neighbours, nexthops and routes that came after the plan was
# made, or on links above ours. By adding alone; what is there is never replaced.
sd_put_back() {
  printf '%s\n' "$sd_judged" | sed -n 's/^left - //; t found; d; :found; s/\([0-9]\)sec/\1/g; s/ rto_min lock / rto_min /; p' |
    while read -r sd_kind sd_words; do
      set -f
      # shellcheck disable=SC2086  # the words of commands
      case $sd_kind in
        addr)
          sd_dev=${sd_words%% *}
          sd_lease=${sd_words#"${sd_words%%?valid_lft*}"}
          sd_words=${sd_words%%?valid_lft*}
          case $sd_words in *' inet '*) sd_words="${sd_words% *} label ${sd_words##* }" ;; esac
          sd_words=${sd_words#* inet}  # "6 " or " " comes before the address
          ip addr add ${sd_words#* } $sd_lease dev "$sd_dev"
          ;;
        nexthop) ip nexthop add $sd_words ;;
        neigh)
          case $sd_words in
            *' proxy') ip neigh add proxy ${sd_words% proxy} ;;
            *) ip neigh add ${sd_words% *} nud permanent ;;
          esac
          ;;
        route?) ip "-${sd_kind#route}" route append $sd_words ;;
      esac
    done
}

# What is left, of the last verdict.
sd_left_over() {
  printf '%s\n' "$sd_judged" | grep '^left '
}
