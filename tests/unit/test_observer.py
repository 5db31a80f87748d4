"""What a run sees of the stack before it touches anything."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stormdesk.cli.show import Mode, Show
from stormdesk.run import recovery
from stormdesk.run.stack import Sample


class Answers:
    """A stack that answers so often with nothing before it says a number."""

    def __init__(self, silent: int) -> None:
        self.silent = silent
        self.looks = 0

    def snapshot(self) -> dict[str, str]:
        return {}

    def sample(self, _: Any) -> Sample:
        self.looks += 1
        return Sample(time.time(), None if self.looks <= self.silent else {"accepted": 1.0}, {}, "")


@pytest.mark.parametrize(("silent", "looks"), [(0, 1), (1, 2), (2, 3), (9, 3)])
def test_a_first_look_that_nobody_answers_is_repeated(monkeypatch: pytest.MonkeyPatch, silent: int, looks: int) -> None:
    monkeypatch.setattr(recovery, "SAMPLE_S", 0.0)
    seen: list[str] = []
    record = SimpleNamespace(event=lambda name, **_: seen.append(name))
    stack = Answers(silent)
    show = Show(Mode.LINES, io.StringIO())
    observer = recovery.Observer(cast("Any", record), show, cast("Any", None), cast("Any", stack))
    observer.first()
    assert stack.looks == looks
    assert seen == ["sample"] * looks
