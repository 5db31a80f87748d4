"""State files: old or new, never torn; absent, good and corrupt are distinct."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from stormdesk import durable


class Switch(msgspec.Struct, forbid_unknown_fields=True):
    active: bool


def test_a_file_is_replaced_and_its_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "switch.json"
    durable.replace(path, b'{"active": true}')
    durable.replace(path, b'{"active": false}')
    assert durable.read_json(path, Switch) == Switch(active=False)
    assert [entry.name for entry in path.parent.iterdir()] == ["switch.json"]


def test_a_place_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.replace(tmp_path / "gone" / "a" / "switch.json", b"{}")
    durable.make_folder(tmp_path / "gone" / "a")
    durable.replace(tmp_path / "gone" / "a" / "switch.json", b"{}")


def test_an_absent_file_is_none(tmp_path: Path) -> None:
    assert durable.read_json(tmp_path / "switch.json", Switch) is None
    assert durable.read_json(tmp_path / "no" / "switch.json", Switch) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"active": 1}', b'{"active": true, "by": "x"}', b"\xff\xfe", b'"\xff"', b"[" * 100_000, b"\0" * 4096],
    ids=["empty", "torn", "wrong type", "future schema", "not UTF-8", "not UTF-8 inside", "deep", "zeros"],
)
def test_what_is_not_the_document_is_corrupt(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "switch.json"
    path.write_bytes(data)
    with pytest.raises(durable.CorruptError, match=r"switch\.json"):
        durable.read_json(path, Switch)


def test_a_folder_in_the_place_of_a_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "switch.json").mkdir()
    with pytest.raises(durable.CorruptError):
        durable.read_json(tmp_path / "switch.json", Switch)


def test_what_a_killed_writer_left_does_not_stop_the_next(tmp_path: Path) -> None:
    path = tmp_path / "switch.json"
    durable.replace(path, b'{"active": true}')
    (tmp_path / ".switch.json.new").write_bytes(b'{"acti')
    assert durable.read_json(path, Switch) == Switch(active=True)
    durable.replace(path, b'{"active": false}')
    assert durable.read_json(path, Switch) == Switch(active=False)
    assert sorted(os.listdir(tmp_path)) == ["switch.json"]
