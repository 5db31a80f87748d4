"""Common to the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormdesk.infra import pulumi_build


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any engine: bin/ is its PATH (with sh's own folder), home/ its HOME, cache/ the cache folder."""
    for name in ("bin", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORMDESK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pulumi_build, "VENDOR", "http://127.0.0.1:1")
    return tmp_path
