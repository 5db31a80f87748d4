"""State files that survive a crash: a reader sees the old document or the whole new one, never a torn one.

Blocking; call it in a thread from an event loop. One writer for each file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class CorruptError(Exception):
    """A state file is there and does not hold what it should, or cannot be read. The message names it and says why."""


def replace(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Put `data` where `path` is, durably when this returns: temp + fsync + rename + fsync of the folder.

    The folder of `path` is made when it is missing, those above it are not: a service's own place may have been taken
    away on purpose. Raises OSError; then the file at `path` is whole (as it was, or new when only the last fsync
    failed) and nothing else is left behind.
    """
    if path.parent.parent.is_dir():
        make_folder(path.parent)
    fresh = path.with_name(f".{path.name}.new")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_json(path: Path, kind: type[T]) -> T | None:
    """The document at `path`, None when there is none. Raises CorruptError for everything that is not a `kind`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"{path}: {error}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however little each write takes. Raises OSError."""
    view = memoryview(data)
    while view:
        count = os.write(fd, view)
        if not count:
            raise OSError(errno.EIO, "nothing was written")
        view = view[count:]


def overwrite(path: Path, data: bytes) -> None:
    """Put `data` over what is at `path`, which needs no free space where the file is as long already. Durable when this
    returns, torn when it does not: only for documents whose readers take a torn one for the worst."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        write_all(fd, data)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)
