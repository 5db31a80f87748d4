# The boot hook, which undoes at the next boot what survives a restart: the host runs /etc/stormdesk/boot before its services, through
# our file for its init system and a link that enables it. Existing files are never replaced.

# Set $sd_hook to that file and $sd_link to its link; both are "" if the host's own files already run /etc/stormdesk/boot. Fail,
# with $sd_why_no_hook, if there is no way.
sd_boot_hook_possible() {
  sd_hook='' sd_link=''
  sd_why_no_hook='nothing on this host runs /etc/stormdesk/boot at start'
  if [ -d /run/systemd/system ]; then
    sd_hook=/etc/systemd/system/stormdesk-boot.service
    sd_link=/etc/systemd/system/sysinit.target.wants/stormdesk-boot.service
  elif grep -qs /etc/stormdesk/boot /etc/inittab; then
    :
  elif [ -d /run/openrc ] && [ -d /etc/runlevels/boot ]; then
    sd_hook=/etc/init.d/stormdesk-boot sd_link=/etc/runlevels/boot/stormdesk-boot
  elif sd_runs_rc_local; then
    grep -qs /etc/stormdesk/boot /etc/rc.local || sd_hook=/etc/rc.local
    if [ -n "$sd_hook" ] && [ -e /etc/rc.local ]; then
      sd_why_no_hook='/etc/rc.local does not run /etc/stormdesk/boot'
      return 1
    fi
  else
    return 1
  fi
  for sd_file in "$sd_hook" "$sd_link"; do
    if { [ -e "$sd_file" ] || [ -L "$sd_file" ]; } && ! grep -qs '^# The boot hook of Stormdesk' "$sd_file"; then
      sd_why_no_hook="$sd_file is there, and is not Stormdesk's"
      return 1
    fi
  done
  for sd_file in /etc "${sd_hook%/*}" "${sd_link%/*}"; do
    if [ -d "$sd_file" ] && sd_read_only "$sd_file"; then
      sd_why_no_hook="$sd_file is read-only: no boot hook can be written"
      return 1
    fi
  done
}

# Does this host run /etc/rc.local at boot?
sd_runs_rc_local() {
  grep -qs /etc/rc.local /etc/inittab && return
  for sd_file in /etc/rc2.d/S??rc.local /etc/rcS.d/S??rc.local /etc/rc.d/S??done; do [ ! -e "$sd_file" ] || return 0; done
  return 1
}

# Is the mount that holds folder $1 read-only?
sd_read_only() {
  sd_mount=$(df -P "$1" 2>/dev/null | sed -n '$s/.* //p')
  grep "^[^ ]* ${sd_mount:-/} " /proc/mounts | tail -n 1 | grep -q '^[^ ]* [^ ]* [^ ]* ro[, ]'
}

# Write the hook, after sd_boot_hook_possible, and sync it. Fails if it cannot be written.
sd_boot_hook_install() {
  # shellcheck disable=SC2016  # the hook's own shell expands it
  mkdir -p /etc/stormdesk &&
    printf '#!/bin/sh\nfor d in %s/*/; do [ ! -f "$d/complete" ] || sh "$d/boot.sh" "$d" </dev/null >/dev/null 2>&1; done\n' "$sd_durable" \
      >/etc/stormdesk/boot && chmod 755 /etc/stormdesk/boot || return
  if [ -n "$sd_hook" ] && [ ! -e "$sd_hook" ]; then
    sd_boot_hook_text >"$sd_hook" || { rm -f "$sd_hook"; return 1; }
    case $sd_hook in *.service) chmod 644 "$sd_hook" ;; *) chmod 755 "$sd_hook" ;; esac
  fi
  if [ -n "$sd_link" ] && [ ! -L "$sd_link" ]; then
    [ -d "${sd_link%/*}" ] || { mkdir -m 755 "${sd_link%/*}" && echo "${sd_link%/*}" >/etc/stormdesk/made; } || return
    ln -s "$sd_hook" "$sd_link" 2>/dev/null || [ -L "$sd_link" ] || return
  fi
  sync /etc/stormdesk /etc/stormdesk/* "$sd_hook" "${sd_hook%/*}" "${sd_link%/*}" 2>/dev/null || sync
}

# The text of $sd_hook. All variants run before anything uses the file systems, except for /etc/rc.local, which runs when it runs.
sd_boot_hook_text() {
  sd_mark='# The boot hook of Stormdesk: goes when no fault needs it any more.'
  case $sd_hook in
    *.service)
      printf '%s\n' "$sd_mark" '[Unit]' 'Description=Undo the faults that survived the restart' 'DefaultDependencies=no' \
        "RequiresMountsFor=$sd_durable" 'After=local-fs.target' 'Before=sysinit.target' \
        '[Service]' 'Type=oneshot' 'ExecStart=/bin/sh /etc/stormdesk/boot'
      ;;
    /etc/init.d/*)
      printf '%s\n' '#!/sbin/openrc-run' "$sd_mark" 'description="Undo the faults that survived the restart"' \
        'depend() {' '  need localmount' '  before *' '}' 'start() {' '  sh /etc/stormdesk/boot' '  return 0' '}'
      ;;
    *) printf '%s\n' '#!/bin/sh' "$sd_mark" /etc/stormdesk/boot 'exit 0' ;;
  esac
}
