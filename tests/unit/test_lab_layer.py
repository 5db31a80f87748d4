"""Package layers: which one is used, rebuilt or removed. For building one, see tests/e2e/test_lab_layer.py."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra import making, stacks
from stormdesk.infra.backends.lab import backend, layer, records
from stormdesk.infra.home import Material, Record
from stormdesk.infra.keys import KeyPair

STATUS = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
DAY = 86400.0


@pytest.fixture
def status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's status file; its cache is empty."""
    path = tmp_path / "status"
    path.write_text(STATUS)
    monkeypatch.setattr(layer, "DPKG_STATUS", str(path))
    monkeypatch.setenv("STORMDESK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return path


def put(image: Path, made: object, days_old: float = 0.0) -> Path:
    image.touch()
    image.with_name(f"{image.name}.json").write_text(json.dumps(made))
    for path in (image, image.with_name(f"{image.name}.json")):
        os.utime(path, (time.time() - days_old * DAY,) * 2)
    return image


def test_case_C55_a_layer_that_fits_is_used_and_one_that_does_not_is_refused(status: Path) -> None:
    image = put(layer.path(), {"dpkg": ["1", "1"], "curl": [None, "7"]}, 20)
    assert layer.require() == layer.ensure(print) == image
    assert image.stat().st_mtime > time.time() - DAY  # it is in use
    status.write_text(STATUS + STATUS.replace("dpkg", "unrelated"))
    assert layer.require() == image
    status.write_text(STATUS.replace("Version: 1", "Version: 2"))
    with pytest.raises(RefusedError, match=r"layer must be rebuilt: dpkg 1 -> 2 \(.*\)\. Type: .*\.lab\.layer$"):
        layer.require()


@pytest.mark.parametrize("left", [".ext4", ".ext4.json"])
def test_half_a_layer_does_not_count(status: Path, left: str) -> None:
    image = put(layer.path(), {})
    for path in layer.cache().iterdir():
        if not path.name.endswith(left):
            path.unlink()
    with pytest.raises(RefusedError, match=rf"package layer is missing \({image}\)"):
        layer.require()


def test_without_dpkg_one_line_says_what_is_needed(status: Path) -> None:
    status.unlink()
    for ask in (layer.require, lambda: layer.ensure(print)):
        with pytest.raises(
            RefusedError, match=r"^the lab's hosts are built from Debian packages .* Use Debian or Ubuntu$"
        ):
            ask()


def test_case_C55_a_lab_that_runs_needs_no_layer_that_fits(status: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its drift is mended with the hosts that it has, whatever was installed since."""
    record = Record(
        name="x", owner="me", backend="lab", engine="pulumi", topology="core", ttl_s=60.0, expires_at="2026-01-01T00:00:00Z"
    )  # fmt: skip
    credentials = stacks.Credentials(api_key="", api_secret="")
    material = Material(login=KeyPair(private="", public=""), host_keys={}, credentials=credentials)
    with pytest.raises(RefusedError, match="is missing"):
        backend.order(record, stacks.core(credentials), material)
    monkeypatch.setattr(records, "running", lambda name: 7)
    assert backend.order(record, stacks.core(credentials), material).layer == layer.path()


def test_layers_of_other_versions_stay_while_they_are_used(status: Path) -> None:
    """Two checkouts on one cache do not take each other's layers away."""
    for name, days in (("layer-theirs", 29.0), ("layer-kafka-theirs", 1.0), ("layer-old", 31.0)):
        put(layer.cache() / f"{name}.ext4", {}, days)
    (layer.cache() / "layer-of-the-first-edition.ext4").touch()
    making.remove_unused(layer.cache(), "layer-*")
    left = sorted(path.name.partition(".")[0] for path in layer.cache().glob("*.ext4"))
    assert left == ["layer-kafka-theirs", "layer-of-the-first-edition", "layer-theirs"]
    assert not (layer.cache() / "layer-old.ext4.json").exists()
