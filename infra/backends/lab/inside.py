"""A shell inside a host of a lab, or in the lab's network: `python3 -I -S inside.py PID NAMESPACE...` runs its stdin there.

PID is a process of the host; the namespaces are named as in /proc/PID/ns. `drop=16,17` lists the capabilities to drop, those that
hosts lack (content.py): otherwise the shell could set the machine's clock. Self-contained, so that it starts fast.
"""

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24


def main() -> None:
    """Exec the shell, or exit with one line on stderr."""
    pid, dropped, *names = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    held = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in names}
    for name, fd in held.items():
        if libc.setns(fd, 0) != 0:
            sys.exit(f"setns {name}: {os.strerror(ctypes.get_errno())}")
    for number in dropped.removeprefix("drop=").split(","):
        if libc.prctl(PR_CAPBSET_DROP, int(number), 0, 0, 0) != 0:
            sys.exit(f"capability {number}: {os.strerror(ctypes.get_errno())}")
    if child := os.fork():  # setns into a pid namespace takes effect for children only
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.execv("/bin/sh", ["sh", "-s"])  # noqa: S606  its stdin is the script


if __name__ == "__main__":
    main()
