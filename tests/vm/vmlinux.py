"""The kernel's ELF file inside a Debian vmlinuz. Pure. QEMU boots it by PVH: nothing is decompressed in the guest, which is slow by TCG."""

from __future__ import annotations

import struct

MAGIC = b"\x02\x21\x4c\x18"  # LZ4, legacy frame
ELF = b"\x7fELF"
CHUNK_MOST = 9 << 20  # bytes; a legacy frame has chunks of 8 MiB, a little more where they do not compress


def unpack(image: bytes) -> bytes:
    """The ELF file. Raises ValueError when there is no LZ4 frame with one in it."""
    at = image.find(MAGIC)
    while at >= 0:
        found = _frame(image, at + len(MAGIC))
        if found.startswith(ELF):
            return found
        at = image.find(MAGIC, at + 1)
    raise ValueError("no kernel compressed by LZ4 in it")


def _frame(image: bytes, at: int) -> bytes:
    """All chunks from `at` on, up to the first length that cannot be one; what was read so far when a chunk is broken."""
    out = bytearray()
    while at + 4 <= len(image):
        (size,) = struct.unpack_from("<I", image, at)
        if not 0 < size <= min(CHUNK_MOST, len(image) - at - 4):
            break
        try:
            out += _chunk(image[at + 4 : at + 4 + size])
        except IndexError:
            break
        if not out.startswith(ELF):
            break
        at += 4 + size
    return bytes(out)


def _chunk(source: bytes) -> bytearray:
    """One block of LZ4: literals, then a copy of earlier output, again and again. Raises IndexError when it is cut."""
    out, at = bytearray(), 0
    while at < len(source):
        token = source[at]
        length, at = _length(source, at + 1, token >> 4)
        out += source[at : at + length]
        at += length
        if at >= len(source):
            break
        back = source[at] | source[at + 1] << 8
        length, at = _length(source, at + 2, token & 15)
        length += 4
        start = len(out) - back
        if back >= length:
            out += out[start : start + length]
        else:
            out += (out[start:] * (length // max(back, 1) + 1))[:length]
    return out


def _length(source: bytes, at: int, first: int) -> tuple[int, int]:
    """A length, of which 15 in the token means that more bytes follow; and where the next thing begins."""
    if first == 15:
        while True:
            more = source[at]
            at += 1
            first += more
            if more != 255:
                break
    return first, at
