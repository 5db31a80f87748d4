"""ssh's ProxyCommand for a lab: passes back one TCP socket made inside the lab's network (ProxyUseFdpass).

    python3 -I -S enter.py RUN-DIRECTORY HOST PORT

Self-contained (imports nothing of ours, runs on Python 3.9 or later) and leaves no process behind. Needs root, as setns does.
"""

import array
import ctypes
import json
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


def fabric(run_dir: str) -> int:
    """An open descriptor of the lab's network namespace."""
    with open(f"{run_dir}/lab.json") as file:
        record = json.load(file)
    with open(f"/proc/{record['pid']}/stat") as file:
        started = int(file.read().rpartition(") ")[2].split()[19])
    if started != record["start_time"]:
        raise OSError("its pid belongs to another process now")
    return os.open(f"/proc/{record['pid']}/ns/net", os.O_RDONLY)


def main() -> int:
    """Exit code 0 when the socket was handed over."""
    run_dir, host, port = sys.argv[1:4]
    name = os.path.basename(run_dir)
    try:
        namespace = fabric(run_dir)
    except PermissionError:
        return fail(f"entering lab {name} needs root: use sudo ssh")
    except (OSError, ValueError, KeyError) as error:
        return fail(f"lab {name} is not running ({error}). Type: invoke env.list")
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        return fail(f"entering lab {name} needs root: {os.strerror(ctypes.get_errno())}")
    try:
        connection = socket.create_connection((host, int(port)), timeout=30)
    except OSError as error:
        return fail(f"lab {name}: {host} port {port}: {error}")
    connection.settimeout(None)
    # Otherwise Nagle's algorithm holds the last bytes of the key exchange for a delayed ACK, some 40 ms.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))]
    with socket.socket(fileno=os.dup(1)) as ssh:
        ssh.sendmsg([b"\0"], rights)
    return 0


def fail(why: str) -> int:
    """Print one line for the user; returns exit code 1."""
    print(f"stormdesk: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
