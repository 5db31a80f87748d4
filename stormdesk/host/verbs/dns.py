"""Answers DNS queries wrongly, and asks for a name as a stub resolver does. Standard library alone.

dns.py serve <port> <mark> <what> <names> <servers>: <what> is NXDOMAIN, SERVFAIL or an address; queries for other names than those of
the comma list (and names below them), if there is one, go on to the first of the servers. dns.py ask <name> <servers>: prints what
comes back: an rcode, addresses, or "no answer".
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import sys
import threading

RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def question(message: bytes) -> tuple[str, int, int]:
    """The name in lower case, the type, and where the question ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("latin-1").lower())
        at += 1 + message[at]
    return ".".join(labels), struct.unpack_from(">H", message, at + 1)[0], at + 5


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer(message: bytes, what: str) -> bytes:
    _, kind, end = question(message)
    rcode = {"NXDOMAIN": 3, "SERVFAIL": 2}.get(what, 0)
    data = b"" if rcode else ipaddress.ip_address(what).packed
    records = int(bool(data) and kind == (28 if len(data) == 16 else 1))
    head = message[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, records, 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 5, len(data)) + data if records else b""
    return head + message[12:end] + record


def ask(message: bytes, server: str, mark: int = 0) -> bytes:
    with socket.socket(family(server), socket.SOCK_DGRAM) as asking:
        if mark:
            asking.setsockopt(socket.SOL_SOCKET, 36, mark)  # SO_MARK: not to come back to us
        asking.settimeout(2)
        asking.sendto(message, (server, 53))
        return asking.recv(65535)


def serve(port: int, mark: int, what: str, names: list[str], servers: list[str]) -> None:
    def one(address: str) -> None:
        with socket.socket(family(address), socket.SOCK_DGRAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, 36, mark)
            listening.bind((address, port))
            while True:
                message, sender = listening.recvfrom(65535)
                threading.Thread(target=reply, args=(listening, message, sender), daemon=True).start()

    def reply(listening: socket.socket, message: bytes, sender: tuple[str, int]) -> None:
        with contextlib.suppress(OSError, IndexError, struct.error):
            name = question(message)[0]
            ours = not names or any(name == each or name.endswith("." + each) for each in names)
            said = answer(message, what) if ours else ask(message, servers[0], mark)
            listening.sendto(said, sender)

    for address in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError):
            threading.Thread(target=one, args=(address,), daemon=True).start()
    threading.Event().wait()


def shown(name: str, servers: list[str]) -> str:
    labels = [
        label for label in name.split(".") if label
    ]  # none for ".", the root, whose name servers every resolver knows
    body = b"".join(bytes([len(label)]) + label.encode() for label in labels) + (
        b"\0\0\1\0\1" if labels else b"\0\0\2\0\1"
    )
    query = os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + body
    try:
        said = ask(query, servers[0])
    except OSError:
        return "no answer"
    rcode = RCODES.get(said[3] & 15, str(said[3] & 15))
    if rcode != "NOERROR" or not labels or not struct.unpack_from(">H", said, 6)[0]:
        return rcode
    return str(ipaddress.ip_address(said[-4:]))


if sys.argv[1] == "ask":
    print(shown(sys.argv[2], sys.argv[3].split(",")))
else:
    serve(
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4],
        [each for each in sys.argv[5].split(",") if each],
        sys.argv[6].split(","),
    )
