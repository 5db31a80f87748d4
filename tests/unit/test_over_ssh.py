"""The output of hosts, and the values read from it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from stormdesk.core.errors import HostError
from stormdesk.core.model import Argv, Completed
from stormdesk.infra import over_ssh
from stormdesk.ssh.pool import Pool


class Said:
    """In the place of a pool: a host that prints one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, _: str, argv: Argv, __: float) -> Completed:
        return Completed(argv, 0, self.text, "")


def listening(text: str) -> set[int]:
    return over_ssh.listening(cast(Pool, cast(Any, Said(text))), "web")


def test_listening_ports() -> None:
    text = (
        "LISTEN 0      128          0.0.0.0:22        0.0.0.0:*          \n"
        "LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*          \n"
        "LISTEN 0      128             [::]:8080         [::]:*          \n"
    )
    assert listening(text) == {22, 53, 8080}
    assert listening("") == set()


@pytest.mark.parametrize("text", ["warning\n", "LISTEN 0 128\n", "LISTEN 0 128 *:http *:*\n", "\n", "a b c d:x e\n"])
def test_case_C54_an_invalid_list_of_ports_is_one_line(text: str) -> None:
    with pytest.raises(HostError, match="web: ss -Hltn prints what is no list of ports") as caught:
        listening(text)
    assert str(caught.value).isprintable()
