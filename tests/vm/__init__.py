"""A stock Debian 12 as a QEMU machine: what namespaces cannot show (systemd, logind, NetworkManager, reboots, a kernel with
modules). `invoke dev.vm` runs its list once; it is not part of script/test, but tests/unit/test_vm.py covers its pure parts.

tools: QEMU, unpacked into the cache. image: the disks, built once. vmlinux, qemu: the kernel and the command line, pure.
machine: boots, snapshots, logs in. cases, acts: the list. stage: runs one case. picture, table: pure, what is compared and told.
"""
