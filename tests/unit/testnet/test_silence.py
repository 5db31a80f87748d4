"""What one process of a host was told, the others keep to: the venue counts by address."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from stormdesk.testnet import resilience, silence
from stormdesk.testnet.answers import NotSentError
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.throttle import Throttle


def test_the_longest_pause_counts(tmp_path: Path) -> None:
    assert silence.until_t(tmp_path) == 0.0
    silence.told(tmp_path, 9)
    silence.told(tmp_path, 3)
    assert silence.until_t(tmp_path) == pytest.approx(time.time() + 9, abs=2)
    assert list(json.loads((tmp_path / silence.FILE).read_text())) == ["until_t"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"until_t": "soon"}', b"\xff"])
def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / silence.FILE).parent.mkdir()
    (tmp_path / silence.FILE).write_bytes(content)
    assert silence.until_t(tmp_path) == 0.0


def test_what_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    silence.told(tmp_path / "gone" / "with its folder", 9)
    assert silence.until_t(tmp_path / "gone" / "with its folder") == 0.0


def test_a_trader_keeps_to_what_its_guard_was_told(tmp_path: Path) -> None:
    guard = tmp_path / "guard"
    guard.mkdir()
    throttle = Throttle(StateFile(tmp_path / "trader" / silence.FILE), resilience.load({}), guard)
    asyncio.run(throttle.request(1, urgent=False))
    silence.told(guard, 5)
    with pytest.raises(NotSentError, match="asked us to wait"):
        asyncio.run(throttle.request(1, urgent=True))
