"""The operators' log as its host writes it: chained, by several at once, after damage, and on a disk that is full."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import msgspec
import pytest

from stormdesk.desk.operators_log import APPEND, Entry
from stormdesk.evidence.cut import operators
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS

LOG = "/tmp/a b/operators.jsonl"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def writing(number: int, why: str = "", log: str = LOG) -> str:
    entry = Entry(v=1, id=f"{number:08x}", t=number / 7, task="stack.pause", by="o'neil", phase="refused", why=why or "no")
    return shlex.join(["sh", "-c", APPEND, "sh", log, msgspec.json.encode(entry).decode()])


def logged(host: Rig) -> tuple[list[str], str]:
    rows, problem = operators.read(host.sandbox.sh(f"cat {shlex.quote(LOG)}").encode())
    return [row.id for row in rows], problem


def test_who_writes_at_once_writes_after_one_another(host: Rig) -> None:
    host.sandbox.sh("".join(f"{writing(number)} &\n" for number in range(12)) + "wait")
    found, problem = logged(host)
    assert (sorted(found), problem) == ([f"{number:08x}" for number in range(12)], "")


@pytest.mark.parametrize("why", ['a "b" \\ c\n$(reboot) `id` %s %n', "}", "ü 漢", '","h":"' + "0" * 64 + '"}'])
def test_whatever_is_said_is_written_as_it_is(host: Rig, why: str) -> None:
    host.sandbox.sh(f"{writing(1, why)}\n{writing(2)}")
    rows, problem = operators.read(host.sandbox.sh(f"cat {shlex.quote(LOG)}").encode())
    assert ([row.id for row in rows], problem) == (["00000001", "00000002"], "")
    said = host.sandbox.sh(f"head -n 1 {shlex.quote(LOG)}").split(',"prev":"')[0] + "}"
    assert msgspec.json.decode(said)["why"] == why


def test_a_torn_line_is_not_followed_as_if_it_were_whole(host: Rig) -> None:
    host.sandbox.sh(f"{writing(1)}\n{writing(2)}\ntruncate -s -9 {shlex.quote(LOG)}\n{writing(3)}")
    assert logged(host)[1].startswith("operators.jsonl line 2 ")
    assert host.sandbox.sh(f"tail -n 1 {shlex.quote(LOG)}").startswith('{"v":1,"id":"00000003"')


def test_what_cannot_be_written_is_no_success(host: Rig) -> None:
    host.sandbox.sh("mkdir /tmp/full; mount -t tmpfs -o size=4k full /tmp/full; head -c 8k /dev/zero >/tmp/full/x || :")
    done = host.sandbox.script(writing(1, log="/tmp/full/log/operators.jsonl"))
    assert not done.ok
