"""Turns a ProxyCommand that uses stdin and stdout into one that passes back a connected socket (ProxyUseFdpass).

It starts the command on one end of a socket pair, sends the other end to its parent, and exits. The command ends when that
socket is closed. Runs as a script, without importing Stormdesk.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys


def wrapped(command: str, python: str) -> str:
    """The ProxyCommand that passes back a socket to `command`; tokens (%h, %p ...) are kept."""
    return shlex.join((python, "-I", "-S", __file__, command))


def _main(command: str) -> None:
    ours, theirs = socket.socketpair()
    argv = ["/bin/sh", "-c", f"exec {command}"]
    # Its stderr is discarded: a reader of ours would otherwise wait until it ends.
    subprocess.Popen(
        argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    with socket.socket(fileno=sys.stdout.fileno()) as asked:
        socket.send_fds(asked, [b"\0"], [ours.fileno()])


if __name__ == "__main__":
    _main(sys.argv[1])
