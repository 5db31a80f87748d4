"""Keys of environments: one that was made anew under the same name has new ones, and whoever connects sees that."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormdesk.drive.transports.ssh import private_key
from stormdesk.errors import UsageError
from stormdesk.infra import home, keys


def test_a_key_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path, seen = tmp_path / "id_ed25519", []
    for _ in range(2):
        pair = keys.generate()
        home.write(path, pair.private)
        assert private_key(str(path)) is private_key(str(path))
        seen.append(private_key(str(path)).get_base64())
        assert seen[-1] == pair.public.split()[1]
    assert seen[0] != seen[1]


def test_a_key_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("what")
    for path in (tmp_path / "key", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="cannot read the SSH key"):
            private_key(str(path))
