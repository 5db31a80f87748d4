"""A revert that finds nothing fences the run: no late arm or inject of that run acts on the host afterwards."""

from __future__ import annotations

import time

from stormdesk.core.model import Completed
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.host import probe, render
from tests.shell.rig import Rig, beside, picture, same, uptime_s
from tests.shell.sandbox import eventually

REC = "/run/stormdesk/r-20261121-0312-k3f9"


def give_up(host: Rig, for_s: float) -> Completed:
    """Revert, when an arming may come for so many seconds."""
    return host.sandbox.script(render.revert(host.scripts, host.run_id, "controller", 3, uptime_s() + for_s))


@beside
def test_case_C34_a_late_arming_and_inject_are_refused(host: Rig) -> None:
    before = picture(host.sandbox)
    script = host.arm_script(host.plan(DiskFull()))
    assert give_up(host, 4).stdout == "gone\n"
    late = host.sandbox.script(script)
    assert (late.code, probe.refusal(late.stdout)) == (
        10,
        f"fenced: the controller gave run {host.run_id} up before this came",
    )
    assert not host.inject().ok
    again = host.sandbox.script(script)
    assert again.code == 10
    assert host.status().empty  # it is no record, no lock, no run
    assert host.clear().ok
    assert give_up(host, 4).stdout == "gone\n"
    assert host.sandbox.script(script).code == 10
    same(before, host.sandbox, 15)  # it goes by itself


@beside
def test_case_C34_the_fence_expires_by_itself_and_not_early(host: Rig) -> None:
    before = picture(host.sandbox)
    assert give_up(host, 3).stdout == "gone\n"
    time.sleep(2)
    assert host.sandbox.script(f"test -e {REC}/fenced").ok
    assert host.sandbox.script(render.status(host.scripts, sweep=True)).ok
    assert host.sandbox.script(f"test -e {REC}/fenced").ok
    same(before, host.sandbox, 10)


@beside
def test_case_C34_a_leftover_fence_is_removed(host: Rig) -> None:
    before = picture(host.sandbox)
    assert give_up(host, 60).stdout == "gone\n"
    host.sandbox.sh(f"pkill -f '^sleep 6'; sleep 0.2; mkdir -p {REC}; echo 1 >{REC}/fenced")
    assert probe.status(host.sandbox.script(render.status(host.scripts, sweep=True)).stdout).empty
    same(before, host.sandbox)


@beside
def test_case_C34_an_arming_in_progress_is_refused_too(host: Rig) -> None:
    """It has made its folder and no more, when the revert comes."""
    before = picture(host.sandbox)
    slow = host.arm_script(host.plan(DiskFull())).replace('sh "$rec/arm.sh"', 'sleep 1; sh "$rec/arm.sh"', 1)
    assert slow.count("sleep 1; sh ") == 1
    process = host.sandbox.start(slow)
    eventually(f"test -d {REC}", host.sandbox, 5)
    assert give_up(host, 6).stdout == "gone\n"
    out = process.communicate(timeout=20)[0].decode()
    assert process.returncode != 0, out
    assert not host.sandbox.script("ls -A /var/lib/trading | grep -q stormdesk").ok
    assert host.status().empty
    same(before, host.sandbox, 20)


@beside
def test_case_C34_an_existing_run_is_reverted_as_usual(host: Rig) -> None:
    before = picture(host.sandbox)
    assert host.arm(host.plan(DiskFull())).ok
    assert give_up(host, 30).code == 0
    assert host.record().state == "REVERTED"
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_case_C34_there_is_no_fence_when_nothing_can_arrive(host: Rig) -> None:
    before = picture(host.sandbox)
    assert give_up(host, -5).stdout == "gone\n"
    same(before, host.sandbox)
    assert host.revert().stdout == "gone\n"
    same(before, host.sandbox)
    assert host.arm(host.plan(DiskFull())).ok
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)
