"""Logging in: one key after the other, and the error when the host accepts none."""

from __future__ import annotations

import re
from collections.abc import Sequence

import paramiko

from stormdesk.core.errors import ConnectFailed
from stormdesk.core.inventory import InventoryHost
from stormdesk.core.values import printable
from stormdesk.ssh.deadlines import bounded
from stormdesk.ssh.identities import Identities


def log_in(host: InventoryHost, transport: paramiko.Transport, until: float) -> None:
    """Offer the host one key after the other until it accepts one. Raises UsageError when there is no key."""
    identities = Identities(host)
    tried: list[str] = []
    for identity in identities:
        try:
            more = _authenticated(transport, host, identity.key, until)
        except paramiko.BadAuthenticationType as error:
            raise ConnectFailed(
                _refusal(host, tried, f"it takes {' or '.join(error.allowed_types)}, and no keys")
            ) from error
        except paramiko.AuthenticationException as error:
            tried.append(identity.name)
            if transport.is_active():
                continue
            raise ConnectFailed(_refusal(host, tried, f"it hung up{_banner(transport)} ({error})")) from error
        if not more:
            return
        tried.append(identity.name)
        if "publickey" not in more:
            raise ConnectFailed(
                _refusal(
                    host, [], f"after the key {identity.name} it wants {' or '.join(more)} (AuthenticationMethods)"
                )
            )
    if not tried:
        raise identities.none()
    raise ConnectFailed(
        _refusal(host, tried, "; ".join(["Authentication failed", *identities.problems]) + _banner(transport))
    )


def _authenticated(
    transport: paramiko.Transport, host: InventoryHost, key: paramiko.PKey, until: float
) -> Sequence[str]:
    """The further authentication methods that the host requires after this key; usually none."""
    more: list[str] = []
    bounded(lambda: more.extend(transport.auth_publickey(host.user, key)), transport, until)
    return more


def _refusal(host: InventoryHost, tried: Sequence[str], why: str) -> str:
    refused = f" refuses the key{'s' * (len(tried) > 1)} {', '.join(tried)}" if tried else " does not let us in"
    return f"{host.name} at {host.target}{refused}: {why}"


def _banner(transport: paramiko.Transport) -> str:
    """The last line of sshd's banner, e.g. that an account has expired."""
    said = (transport.get_banner() or b"").decode("utf-8", "replace")
    lines = [line.strip() for line in said.splitlines() if re.search(r"\w", line)]
    return f"; it says '{printable(lines[-1][:120])}'" if lines else ""
