#!/bin/sh
# Runs in a chroot of the unpacked packages, with the files of guest/ in place: accounts, units, and a small initrd.
# $1: the public key of who may log in.
set -eu
key=$1
useradd --create-home --shell /bin/bash ops
useradd --create-home --shell /bin/bash colleague
useradd --system --uid 800 --home-dir /var/lib/trading --shell /usr/sbin/nologin trading
usermod -p '*' ops
usermod -p '*' colleague
for user in root ops colleague; do
  home=$(getent passwd "$user" | cut -d : -f 6)
  install -d -m 700 -o "$user" -g "$user" "$home/.ssh"
  printf '%s\n' "$key" >"$home/.ssh/authorized_keys"
  chown "$user:$user" "$home/.ssh/authorized_keys"
done
chmod 440 /etc/sudoers.d/people
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id # none means "first boot", which presets every unit
mkdir -p /var/lib/trading
systemctl -q enable systemd-networkd quote far
# Debian's package starts supervisord; here it is there and not running, which is a case of its own.
systemctl -q disable supervisor apt-daily.timer apt-daily-upgrade.timer
# e2scrub_reap alone takes half a minute of processor time by TCG.
systemctl -q mask systemd-networkd-wait-online NetworkManager-wait-online e2scrub_reap
# virtio and ext4 are modules: an initrd with what finds the root disk, and no more.
sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=zstd/' /etc/initramfs-tools/initramfs.conf
printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic >/etc/initramfs-tools/modules
update-initramfs -u
