"""The error tree. The user's mistake, the host's answer and a lost link are different classes.

    StormdeskError
    ├── UsageError        2   the command line, a file or a value is wrong; nothing was touched
    ├── RefusedError      3   a guard or the host refused before anything was touched
    │   └── LackingError        the host or the environment lacks what it takes
    ├── TransportError    3   the link failed: nothing may be assumed about the host
    │   ├── ConnectFailed       no connection was made
    │   ├── HostKeyMismatch     another host answered
    │   ├── ConnectionLost      the connection was lost
    │   └── DeadlineExceeded    no answer in time
    ├── HostError         5   the host gave an unexpected answer
    └── ResidueError      5   a host is not as it was before

Every message is one line: what, why, and what to type next. `exit_code` is the task's exit code while nothing has been
touched; once a fault is active, the runner decides (the most serious code wins).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a task's exit code means. `worst` picks the most serious of several."""

    HELD = 0
    VIOLATED = 1
    USAGE = 2
    REFUSED = 3
    STOPPED = 4
    DIRTY = 5
    BUG = 70

    @staticmethod
    def worst(*codes: ExitCode) -> ExitCode:
        order = (ExitCode.BUG, ExitCode.DIRTY, ExitCode.STOPPED, ExitCode.VIOLATED, ExitCode.REFUSED, ExitCode.USAGE)
        return next((code for code in order if code in codes), ExitCode.HELD)


class StormdeskError(Exception):
    """Base of all errors that a user may see. Never raised itself."""

    exit_code = ExitCode.BUG


class UsageError(StormdeskError):
    """The input is wrong."""

    exit_code = ExitCode.USAGE


class RefusedError(StormdeskError):
    """A guard or the host refused, before any change."""

    exit_code = ExitCode.REFUSED


class LackingError(RefusedError):
    """The host or the environment lacks what it takes: there it cannot be done, and nothing has failed."""


class TransportError(StormdeskError):
    """The link failed; the state of the host is unknown."""

    exit_code = ExitCode.REFUSED


class ConnectFailed(TransportError):
    """No connection was made."""


class HostKeyMismatch(ConnectFailed):
    """The host's key is unknown, or not the one in the inventory."""


class ConnectionLost(TransportError):
    """The connection was lost."""


class DeadlineExceeded(TransportError):
    """There was no answer in time."""


class HostError(StormdeskError):
    """The host gave an unexpected answer."""

    exit_code = ExitCode.DIRTY


class ResidueError(StormdeskError):
    """A host is not as it was before the fault."""

    exit_code = ExitCode.DIRTY
