"""How `python -m` of a module that makes something runs: it says what it does, and an error is one line and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from stormdesk.errors import StormdeskError

Say = Callable[[str], None]


def run(make: Callable[[Say], object]) -> int:
    """Make it; returns the exit code of the process."""
    try:
        make(lambda line: print(line, flush=True))
    except StormdeskError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0
