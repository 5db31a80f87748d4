"""Kafka's jars: all are pinned by coordinates and checksum, and others are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra.backends.lab import kafka, layer


def test_every_jar_is_pinned_and_asked_of_maven() -> None:
    pins = kafka.pins()
    assert pins["org.apache.kafka:kafka_2.13:3.9.1"]
    assert all(len(checksum) == 64 for checksum in pins.values())
    root = ElementTree.fromstring(kafka.pom("/somewhere"))  # noqa: S314  our own text
    space = "{http://maven.apache.org/POM/4.0.0}"
    items = [[part.text for part in item] for item in root.iter(f"{space}artifactItem")]
    assert sorted(":".join(map(str, item)) for item in items) == sorted(pins)
    assert next(root.iter(f"{space}outputDirectory")).text == "/somewhere"


def test_jars_that_are_missing_changed_or_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = hashlib.sha256(b"good").hexdigest()
    monkeypatch.setattr(kafka, "pins", lambda: {"g:a:1": checksum, "g:b:2": checksum})
    (tmp_path / "a-1.jar").write_bytes(b"good")
    with pytest.raises(RefusedError, match=r"b-2\.jar$"):
        kafka.verify(tmp_path)
    (tmp_path / "b-2.jar").write_bytes(b"bad")
    with pytest.raises(RefusedError, match=r"b-2\.jar$"):
        kafka.verify(tmp_path)
    (tmp_path / "b-2.jar").write_bytes(b"good")
    kafka.verify(tmp_path)
    (tmp_path / "c-3.jar").write_bytes(b"good")
    with pytest.raises(RefusedError, match=r"c-3\.jar$"):
        kafka.verify(tmp_path)


def test_a_missing_layer_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORMDESK_CACHE", str(tmp_path))
    assert layer.path() != layer.path(with_kafka=True)
    with pytest.raises(
        RefusedError, match=r"with Kafka is missing .* Type: .* -m stormdesk\.infra\.backends\.lab\.layer kafka$"
    ):
        layer.require(with_kafka=True)
