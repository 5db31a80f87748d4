"""Turns a ProxyCommand that talks over stdin and stdout into one that hands over a connected socket (ProxyUseFdpass).

It starts the command on one end of a socket pair, sends the other end to whoever started it, and is done. The command
ends when that socket is closed. Run as a script, without anything of Stormdesk.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys


def wrapped(command: str, python: str) -> str:
    """The ProxyCommand that hands over a socket to `command`; its tokens (%h, %p ...) stay tokens."""
    return shlex.join((python, "-I", "-S", __file__, command))


def _main(command: str) -> None:
    ours, theirs = socket.socketpair()
    argv = ["/bin/sh", "-c", f"exec {command}"]
    # Its errors go nowhere: whoever waits for ours would wait for its end.
    subprocess.Popen(
        argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    with socket.socket(fileno=sys.stdout.fileno()) as asked:
        socket.send_fds(asked, [b"\0"], [ours.fileno()])


if __name__ == "__main__":
    _main(sys.argv[1])
