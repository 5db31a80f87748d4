"""Why a host accepted the log-in but ran no `sh`, and what it must allow. Pure."""

from __future__ import annotations

import re

from stormdesk.core.inventory import InventoryHost
from stormdesk.core.values import printable

SAID = 200  # characters of the host's output that are shown
_NOPASSWD = "in sudoers on the host: {user} ALL=(ALL) NOPASSWD: ALL"
_ADVICE = (
    (
        r"must have a tty",
        "sudo wants a terminal. Allow it without, in sudoers on the host: Defaults:{user} !requiretty",
    ),
    (r"sudo: (a password is|a terminal is|no tty)", f"Let {{user}} use sudo without a password, {_NOPASSWD}"),
    (r"sudoers|not allowed to (execute|run)|may not run", f"Let {{user}} run sh by sudo, {_NOPASSWD}"),
    (r"sudo.*(not found|No such file|Unknown command)", "Install sudo on the host, or log in as root"),
    (
        r"(change your|change required|expired) ?password|password.*(expired|change)|You are required to change",
        "The password of {user} is too old. On the host: passwd {user}, or chage -d today {user}",
    ),
    (r"not available|nologin", "{user} may not log in. On the host: usermod --shell /bin/sh {user}"),
    (r"sftp", "{user} may transfer files alone. Take ForceCommand or command= away, or log in as another user"),
)
_OTHER = "It is not sh that runs for {user}: take ForceCommand or command= away, or log in as another user"


def sentence(host: InventoryHost, said: str, code: int | None) -> str:
    """One line: what ran in place of our shell, its output, and what to change. `code` is its exit code, None while it runs."""
    text = printable(" ".join(said.split()))
    advice = next((hint for pattern, hint in _ADVICE if re.search(pattern, text, re.IGNORECASE)), _OTHER)
    ended = "" if code is None else f" and ended with {code}"
    heard = f"it said '{text[-SAID:]}'" if text else "it said nothing"
    return f"{host.name}: no shell on {host.target}: {heard}{ended}. {advice.format(user=host.user)}"
