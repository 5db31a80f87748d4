"""A folder that is away and a file that a service may not open: seen by who uses them, and undone exactly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Fault
from stormdesk.core.words import FileMode
from stormdesk.faults.file.dir_vanish import DirVanish
from stormdesk.faults.file.file_permission import FilePermission
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import bite, heal

DATA = "/var/lib/trading"
FOLDER = f"{DATA}/a b"
FILE = f"{FOLDER}/ledger"
RENAME, COVER = DirVanish(path=FOLDER), DirVanish(path=FOLDER, mechanism="cover")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        one.sandbox.sh(
            f"mkdir -m 750 '{FOLDER}'; echo kept >'{FILE}'; chown -R nobody '{FOLDER}'; chmod 640 '{FILE}'; chmod 751 '{FOLDER}'"
        )
        yield one


def says(host: Rig, command: str) -> str:
    done = host.sandbox.script(command)
    return done.stdout + done.stderr


def test_a_renamed_folder_is_not_there_and_comes_back(host: Rig) -> None:
    before = bite(host, RENAME)
    assert "No such file or directory" in says(host, f"ls '{FOLDER}'")
    heal(host, before)
    assert says(host, f"cat '{FILE}'") == "kept\n"


def test_a_covered_folder_is_empty_and_comes_back(host: Rig) -> None:
    before = bite(host, COVER)
    assert says(host, f"ls -A '{FOLDER}'") == ""
    assert "Read-only file system" in says(host, f": >'{FOLDER}/new'")
    host.sandbox.sh(f"cd '{FOLDER}'; setsid sleep 1000 </dev/null >/dev/null 2>&1 &")
    heal(host, before)


def test_the_data_folder_itself_is_covered(host: Rig) -> None:
    plan = host.plan(DirVanish())
    assert (plan.change.mechanism, plan.change.rejected[0][1]) == ("cover", f"{DATA} is a mount point")
    before = bite(host, DirVanish())
    assert says(host, f"ls -A {DATA}") == ""
    heal(host, before)


@pytest.mark.parametrize(("made", "kept"), [("", False), ("echo new >'{}/ledger'", True)])
def test_what_a_service_made_in_its_place_is_kept_beside_it(host: Rig, made: str, kept: bool) -> None:
    bite(host, RENAME)
    host.sandbox.sh(f"mkdir '{FOLDER}'; {made.format(FOLDER)}")
    done = host.revert()
    assert done.ok, done.stdout
    assert says(host, f"cat '{FILE}'") == "kept\n"
    aside = f"{FOLDER}.stormdesk-{host.run_id}.made"
    assert host.sandbox.script(f"test -e '{aside}'").ok is kept
    assert (f"set_aside={aside}" in done.stdout) is kept
    if kept:
        assert says(host, f"cat '{aside}/ledger'") == "new\n"
    assert host.clear().ok


@pytest.mark.parametrize("fault", [RENAME, COVER, FilePermission(path=FILE)], ids=["rename", "cover", "permission"])
def test_the_watchdog_undoes_it(host: Rig, fault: Fault) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(fault, ttl_s=4.0))) == CONFIRMED
    eventually("grep -q ' REVERTED ' /run/stormdesk/r-*/record", host.sandbox, 30)
    assert host.clear().ok
    same(before, host.sandbox)


@pytest.mark.parametrize(("mode", "lost"), [("000", "cat"), ("444", "tee -a")])
def test_the_user_may_not_open_the_file_and_then_may_again(host: Rig, mode: str, lost: str) -> None:
    trying = f"su -s /bin/sh nobody -c \"{lost} '{FILE}' </dev/null\""
    assert host.sandbox.script(trying).ok
    before = bite(host, FilePermission(path=FILE, mode=FileMode(mode)))
    assert "Permission denied" in says(host, trying)
    heal(host, before)
    assert host.sandbox.script(trying).ok


@pytest.mark.parametrize("kib", [1, 2048], ids=["a bit", "past the size that is read"])
@pytest.mark.parametrize("hurry", [True, False], ids=["at once", "all the time"])
def test_what_the_service_writes_meanwhile_is_its_own(host: Rig, kib: int, hurry: bool) -> None:
    """Who has the file open goes on: right after its mode was changed, and never again, or again and again."""
    file = f"{DATA}/growing"
    host.sandbox.sh(f"echo kept >{file}; chown nobody {file}; chmod 640 {file}")
    once = f"while [ $(stat -c %a {file}) != 0 ]; do :; done; head -c {kib * 1024} /dev/zero >&3"
    often = f"for n in $(seq 60); do head -c {kib * 64} /dev/zero >&3; sleep 0.05; done"
    host.sandbox.sh(f"(exec 3>>{file}; {once if hurry else often}) </dev/null >/dev/null 2>&1 &")
    assert states(host.arm(host.plan(FilePermission(path=file)))) == CONFIRMED
    eventually(f"[ $(stat -c %s {file}) -gt {kib * 1024} ]", host.sandbox, 10)
    done = host.revert()
    assert (states(done)[-1], "reverted_by=" in done.stdout) == ("REVERTED", True), done.stdout
    assert says(host, f"stat -c %a {file}") == "640\n"
    assert host.clear().ok


def test_a_file_that_somebody_replaced_keeps_its_mode(host: Rig) -> None:
    bite(host, FilePermission(path=FILE))
    host.sandbox.sh(f"echo new >'{FOLDER}/new'; chmod 600 '{FOLDER}/new'; mv '{FOLDER}/new' '{FILE}'")
    host.revert(patience_s=0.5)
    assert says(host, f"stat -c %a '{FILE}'; cat '{FILE}'") == "600\nnew\n"


def test_somebody_who_may_not_open_it_anyway_is_refused(host: Rig) -> None:
    host.sandbox.sh(f"chown root '{FILE}'; chmod 600 '{FILE}'")
    done = host.arm(host.plan(FilePermission(path=FILE)))
    assert "refused the witness would prove nothing" in done.stdout
    assert host.revert().ok


def test_the_host_keeps_what_it_needs(host: Rig) -> None:
    facts = host.facts(DirVanish(path="/var"))
    with pytest.raises(RefusedError, match="the host needs"):
        DirVanish(path="/var").plan(facts, host.site(), None)
