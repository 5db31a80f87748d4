"""The certificate authority of an environment: it vouches for its servers by their names, and for no others."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from stormdesk.infra import ca, home
from stormdesk.testnet.venue.__main__ import tls_of
from stormdesk.testnet.venue.keys import Tls


def shaken(authority: ca.Certificate, server: ca.Certificate, name: str) -> str:
    """The common name that a client who trusts `authority` sees, over a handshake in memory."""
    client = ssl.create_default_context(cadata=authority.certificate)
    ends = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    context = tls_of(Tls("", server.certificate, server.key))
    theirs = context.wrap_bio(ends[0], ends[1], server_side=True)
    ours = client.wrap_bio(ends[1], ends[0], server_hostname=name)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    names = ours.getpeercert() or {}
    return dict(pair for part in names["subject"] for pair in part)["commonName"]  # type: ignore[union-attr,misc]


def test_a_server_is_trusted_by_its_names_only() -> None:
    authority = ca.make()
    server = ca.issue(authority, ["api.venue.internal", "venue.market"])
    assert shaken(authority, server, "api.venue.internal") == "api.venue.internal"
    assert shaken(authority, server, "venue.market") == "api.venue.internal"
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shaken(authority, server, "api.binance.com")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shaken(ca.make(), server, "api.venue.internal")


def test_an_environment_keeps_its_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORMDESK_HOME", str(tmp_path))
    made = home.make("demo")
    material = home.material("demo", ["venue"])
    assert home.material("demo", ["venue"]) == material
    certificate, key = made / "ca" / "ca.pem", made / "ca" / "ca.key"
    assert certificate.read_text() == (material.authority and material.authority.certificate)
    assert [path.stat().st_mode & 0o777 for path in (made / "ca", certificate, key)] == [0o700, 0o600, 0o600]
