"""A damaged file: every byte comes back with mode, owner and times, and nothing that its service wrote since is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.values import Count, Seed
from stormdesk.core.words import Damage
from stormdesk.faults.file.file_corrupt import Afterwards, FileCorrupt
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import bite, heal

FILE = "/var/lib/trading/a b"
LOOK = f"sha256sum '{FILE}'; stat -c '%i %a %u %s %y' '{FILE}'"
WAYS = {
    "flip": FileCorrupt(path=FILE),
    "more flips": FileCorrupt(path=FILE, amount=Count(5), variant=Seed(7)),
    "cut": FileCorrupt(path=FILE, how=Damage("cut"), amount=Count(100)),
    "torn": FileCorrupt(path=FILE, how=Damage("torn"), variant=Seed(3)),
    "garbage": FileCorrupt(path=FILE, how=Damage("garbage"), amount=Count(2)),
    "empty": FileCorrupt(path=FILE, how=Damage("empty")),
    "future": FileCorrupt(path=FILE, how=Damage("future")),
}


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        one.sandbox.sh(f"seq 1 500 >'{FILE}'; cp '{FILE}' /tmp/good; chown nobody '{FILE}'; chmod 640 '{FILE}'")
        one.sandbox.sh(f"touch -d '2026-01-02 03:04:05.678' '{FILE}'")
        yield one


def differing(host: Rig) -> int:
    """Bytes in which it differs from what it was, over their common length."""
    return int(host.sandbox.sh(f"cmp -l /tmp/good '{FILE}' 2>/dev/null | wc -l"))


def test_the_damage_is_there_and_every_byte_comes_back(host: Rig) -> None:
    good = host.sandbox.sh(LOOK)
    size = int(host.sandbox.sh("stat -c %s /tmp/good"))
    found = {}
    for name, fault in WAYS.items():
        before = bite(host, fault)
        found[name] = (differing(host), int(host.sandbox.sh(f"stat -c %s '{FILE}'")) - size)
        if name == "flip":
            (line,) = host.sandbox.sh(f"cmp -l /tmp/good '{FILE}' || :").splitlines()
            _, was, now = (int(word, 8) for word in line.split())
            assert (was ^ now).bit_count() == 1
        if name == "future":
            assert host.sandbox.sh(f"tail -n 1 '{FILE}'") == '{"v": 999, "kind": "FUTURE"}\n'
        heal(host, before)
        assert host.sandbox.sh(LOOK) == good
    assert found["flip"] == (1, 0)
    assert found["more flips"] == (5, 0)
    assert found["cut"] == (0, -100)
    assert found["torn"][0] == 0
    assert -3 <= found["torn"][1] <= -1
    assert found["garbage"] == (0, 84)
    assert found["empty"] == (0, 1)


def test_the_watchdog_repairs_it(host: Rig) -> None:
    good, before = host.sandbox.sh(LOOK), picture(host.sandbox)
    assert states(host.arm(host.plan(WAYS["cut"], ttl_s=6.0))) == CONFIRMED
    eventually("grep -q ' REVERTED ' /run/stormdesk/r-*/record", host.sandbox, 40)
    assert host.clear().ok
    same(before, host.sandbox)
    assert host.sandbox.sh(LOOK) == good


def test_damage_that_is_left_to_its_service_stays_and_the_host_is_clean(host: Rig) -> None:
    bite(host, FileCorrupt(path=FILE, how=Damage("garbage"), afterwards=Afterwards("keep")))
    damaged = host.sandbox.sh(f"echo more >>'{FILE}'; {LOOK}")
    done = host.revert()
    assert (done.ok, states(done)[-1]) == (True, "REVERTED")
    assert host.clear().ok
    assert host.sandbox.sh(LOOK) == damaged
    assert host.sandbox.sh("ls -A /var/lib/trading") == "a b\n"


def test_what_is_appended_behind_a_flipped_bit_stays(host: Rig) -> None:
    bite(host, WAYS["flip"])
    host.sandbox.sh(f"echo more >>'{FILE}'")
    assert host.revert().ok
    assert host.sandbox.sh(f"{{ cat /tmp/good; echo more; }} | cmp - '{FILE}'") == ""
    assert "2026-01-02" not in host.sandbox.sh(f"stat -c %y '{FILE}'")
    assert host.clear().ok


@pytest.mark.parametrize("name", ["cut", "empty"])
def test_what_was_written_behind_the_damage_keeps_it_from_being_repaired(host: Rig, name: str) -> None:
    """The service's line is not touched, the run says so, and the host is not called clean."""
    bite(host, WAYS[name])
    host.sandbox.sh(f"echo more >>'{FILE}'")
    done = host.revert(patience_s=0.5)
    assert not done.ok
    assert f"written_since={FILE}" in done.stdout
    assert ".patch" in done.stdout
    assert host.sandbox.sh(f"tail -n 1 '{FILE}'") == "more\n"


def test_a_file_that_was_replaced_is_left_alone(host: Rig) -> None:
    bite(host, WAYS["torn"])
    host.sandbox.sh(f"echo new >/var/lib/trading/new; mv /var/lib/trading/new '{FILE}'")
    done = host.revert()
    assert done.ok, done.stdout
    assert f"replaced={FILE}" in done.stdout
    assert host.sandbox.sh(f"cat '{FILE}'") == "new\n"
    assert host.clear().ok
