"""The embedded lab: hosts made of Linux namespaces on this machine.

layer.py     the packages that hosts need, installed into a separate image, which is rebuilt when they change here
spec.py      the document that `up` passes to the lab: plain data, pure
files.py     the files of each host: sshd, supervisord, the services; pure
systemd.py   the extra files of a systemd host: units, networkd's interfaces; pure
network.py   the `ip -batch` lines; pure
control.py   the controller's side: start, query, stop
init.py      the lab init: pid 1 of the lab; killing it removes everything
template.py  what hosts can see of this machine: an allow-list
host.py      the set-up of one host, up to the exec of its init
volume.py    ext4 images, loop devices, thaw
cgroup.py    memory and process limits, v1 or v2
inside.py    a shell inside a host, with no more privileges than the host
enter.py     ssh's ProxyCommand: one connected socket inside the lab
kernel.py    system calls that Python 3.11 lacks
"""
