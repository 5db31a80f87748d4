"""Standard output and error that never raise: `| head -1`, a full disk behind `>` or a closed descriptor must not end a run.

After a failure, further output goes to /dev/null, so that the flush at the end of the process does not fail either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any, TextIO, cast


class Lasting:
    """A text stream. `error` is why it failed, or ""."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error = ""

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._let_go(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._let_go(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _let_go(self, error: OSError) -> None:
        if error.errno != errno.EPIPE:  # a reader that closed the pipe is no error
            self.error = error.strerror or str(error)
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


def keep() -> None:
    """Wrap this process's streams. Closed ones are opened on /dev/null, otherwise the next file would get their descriptor."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    if not isinstance(sys.stdout, Lasting):
        sys.stdout = cast(TextIO, Lasting(sys.stdout or _on(1)))
        sys.stderr = cast(TextIO, Lasting(sys.stderr or _on(2)))


def _on(fd: int) -> TextIO:
    return open(fd, "w", encoding="utf-8", closefd=False)


def complain() -> None:
    """Report on stderr when some output was lost."""
    sys.stdout.flush()
    if isinstance(sys.stdout, Lasting) and sys.stdout.error:
        print(f"the output is incomplete: {sys.stdout.error}", file=sys.stderr)
        sys.stdout.error = ""
