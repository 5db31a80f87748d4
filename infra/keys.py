"""Keys and API credentials of an environment: generated here, stored in its directory, removed with it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stormdesk.infra import ca
from stormdesk.infra.ca import Certificate
from stormdesk.infra.stacks import VENUE_NAME, Credentials


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """An ed25519 key: `private` in OpenSSH's PEM form, `public` as `ssh-ed25519 <base64>`."""

    private: str
    public: str


def generate() -> KeyPair:
    """A new key without passphrase."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private=private.decode(), public=public.decode())


def credentials(authority: Certificate) -> Credentials:
    """New API keys of the accounts (64 letters and digits each, like those of exchanges), and a certificate of the venue, signed
    by the environment's authority."""
    venue = ca.issue(authority, [VENUE_NAME, "venue.market"])
    return Credentials(
        api_key=secrets.token_hex(32),
        api_secret=secrets.token_hex(32),
        guard_key=secrets.token_hex(32),
        guard_secret=secrets.token_hex(32),
        guest_key=secrets.token_hex(32),
        guest_secret=secrets.token_hex(32),
        certificate=venue.certificate,
        certificate_key=venue.key,
    )
