"""Delays, loses, duplicates, corrupts and reorders the packets of an NFQUEUE, where the kernel has no sch_netem.

shim.py <queue> <mark> <key=value>..: seconds for delay and jitter, shares 0..1 for all others, packets for burst. Standard library
alone. SIGTERM lets go of every packet that it still holds.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import select
import signal
import socket
import struct
import sys
import time

queue, mark = int(sys.argv[1]), int(sys.argv[2])
want = {
    "delay": 0.0,
    "jitter": 0.0,
    "correlation": 0.0,
    "loss": 0.0,
    "burst": 0.0,
    "duplicate": 0.0,
    "corrupt": 0.0,
    "reorder": 0.0,
    "normal": 0.0,
}
want.update((key, float(value)) for key, value in (word.split("=") for word in sys.argv[3:]))
PACKET, VERDICT, CONFIG, DROP, ACCEPT = 0, 1, 2, 0, 1
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.bind((0, 0))
try:
    netlink.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
except OSError:
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
netlink.setsockopt(270, 5, 1)  # NETLINK_NO_ENOBUFS: a burst is no error
netlink.setblocking(False)


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def tell(kind: int, body: bytes) -> None:
    netlink.send(struct.pack("=IHHIIBBH", 20 + len(body), 3 << 8 | kind, 1, 0, 0, 0, 0, socket.htons(queue)) + body)


def let_go(number: int, verdict: int = ACCEPT, more: bytes = b"") -> None:
    tell(VERDICT, attribute(2, struct.pack(">II", verdict, number)) + more)


copies: dict[int, socket.socket] = {}
for family, level, option in ((socket.AF_INET, socket.IPPROTO_IP, 3), (socket.AF_INET6, socket.IPPROTO_IPV6, 36)):
    if want["duplicate"]:
        copies[family] = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        copies[family].setsockopt(level, option, 1)  # the header is ours
        copies[family].setsockopt(socket.SOL_SOCKET, 36, mark)  # SO_MARK: not to be queued again


def copy(payload: bytes) -> None:
    family, to = (socket.AF_INET, payload[16:20]) if payload[0] >> 4 == 4 else (socket.AF_INET6, payload[24:40])
    with contextlib.suppress(OSError):  # too large for a raw socket: not duplicated
        copies[family].sendto(payload, (socket.inet_ntop(family, to), 0))


def corrupt(payload: bytes) -> bytes:
    start = (payload[0] & 15) * 4 if payload[0] >> 4 == 4 else 40
    bad = bytearray(payload)
    if len(bad) > start:
        bad[random.randrange(start, len(bad))] ^= 1 << random.randrange(8)
    return attribute(10, bytes(bad))


line = {"last": random.uniform(-1, 1), "losing": False}


def lost() -> bool:
    if not want["burst"]:
        return random.random() < want["loss"]
    # Gilbert: bursts of this mean length, so many that the share is right.
    end = 1 / want["burst"]
    begin = end * want["loss"] / max(1e-9, 1 - want["loss"])
    line["losing"] = random.random() >= end if line["losing"] else random.random() < begin
    return bool(line["losing"])


def wait() -> float:
    drawn = random.gauss(0, 1) if want["normal"] else random.uniform(-1, 1)
    line["last"] = want["correlation"] * line["last"] + (1 - want["correlation"]) * drawn
    return max(0.0, want["delay"] + want["jitter"] * line["last"])


held: list[tuple[float, int, bytes]] = []


def take(message: bytes) -> None:
    number: int | None = None
    payload = b""
    at = 20
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind & 0x3FFF == 1:
            number = struct.unpack_from(">I", message, at + 4)[0]
        elif kind & 0x3FFF == 10:
            payload = message[at + 4 : at + length]
        at += (length + 3) & ~3 or 4
    if number is None:
        return
    if want["loss"] and lost():
        let_go(number, DROP)
        return
    more = b""
    if payload:
        if want["duplicate"] and random.random() < want["duplicate"]:
            copy(payload)
        if want["corrupt"] and random.random() < want["corrupt"]:
            more = corrupt(payload)
    if (not want["delay"] and not want["jitter"]) or (want["reorder"] and random.random() < want["reorder"]):
        let_go(number, more=more)
    else:
        heapq.heappush(held, (time.monotonic() + wait(), number, more))


def leave(*_: object) -> None:
    for each in held:
        let_go(each[1], more=each[2])
    sys.exit(0)


signal.signal(signal.SIGTERM, leave)
tell(CONFIG, attribute(1, struct.pack(">BBH", 1, 0, 0)))
whole = want["duplicate"] or want["corrupt"]
tell(CONFIG, attribute(2, struct.pack(">IB", 65535 if whole else 0, 2 if whole else 1)))
tell(
    CONFIG,
    attribute(3, struct.pack(">I", 65536)) + attribute(4, struct.pack(">I", 1)) + attribute(5, struct.pack(">I", 1)),
)  # fail open
while True:
    now = time.monotonic()
    while held and held[0][0] <= now:
        released = heapq.heappop(held)
        let_go(released[1], more=released[2])
    if not select.select([netlink], [], [], max(0, held[0][0] - time.monotonic()) if held else None)[0]:
        continue
    try:
        for _turn in range(64):
            data = netlink.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == 3 << 8 | PACKET:
                    take(data[at : at + length])
                at += (length + 3) & ~3 or 16
    except BlockingIOError:
        pass
