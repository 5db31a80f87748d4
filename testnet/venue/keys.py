"""Accounts that may sign requests, and the venue's configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from stormdesk.testnet.resilience import Configured
from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.rules import Rules


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account with its API key and opening balances (decimal strings by asset). With a `public_key` (Ed25519, PEM) it
    signs with the private key, and `api_secret` is not used. `more_keys` maps its further API keys to their secrets."""

    name: str
    api_key: str
    api_secret: str
    balances: Mapping[str, str]
    public_key: str = ""
    more_keys: Mapping[str, str] = {}


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The TLS listener, with its certificate and key (PEM)."""

    listen: str
    certificate: str
    key: str


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """docs/formats/service-config.md."""

    listen: str
    control: str
    data_dir: str
    pidfile: str
    seed: int
    symbols: list[str]
    accounts: list[Account]
    limits: Rules = Rules()
    tls: Tls | None = None


class Keys:
    """Accounts by API key."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._by_key = {account.api_key: account for one in accounts for account in _by_each_key(one)}
        self.first = next((account.name for account in self._by_key.values()), "")

    def account(self, api_key: str) -> Account:
        """The account of a key. Raises ApiError -2014 without a key, -2015 for an unknown one."""
        if not api_key:
            raise ApiError(*errors.KEY_FORMAT)
        if api_key not in self._by_key:
            raise ApiError(*errors.BAD_KEY)
        return self._by_key[api_key]

    def name(self, api_key: str) -> str:
        """The account's name, or "" when the key is unknown."""
        account = self._by_key.get(api_key)
        return account.name if account else ""


def _by_each_key(account: Account) -> Iterable[Account]:
    """The account, once for each of its keys."""
    yield account
    for key, secret in account.more_keys.items():
        yield msgspec.structs.replace(account, api_key=key, api_secret=secret, public_key="")
