"""A host where much goes wrong at once: pids used again, tools that fail or are missing, another shell, eight controllers.

What takes long runs in part; `--counts 100` runs all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.values import Signal
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.host import probe
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, picture, repeated, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_limits import at_once

EIGHT = [f"r-20261121-0312-{letter * 6}" for letter in "abcdefgh"]
BACK = "</dev/null >/dev/null 2>&1"
ARM_NEEDS = [
    "ip",
    "sleep",
    "readlink",
    "ln",
    "stat",
    "sha256sum",
    "grep",
    "sed",
    "tr",
    "df",
    "tail",
    "head",
    "awk",
    "dd",
    "mkfifo",
    "setsid",
    "timeout",
]
# Every tool by a wrapper that fails once, at the call whose number is in /tmp/nth/at.
WRAP = r"""
mkdir -p /tmp/nth /usr/local/sbin; : >/tmp/nth/count; echo 0 >/tmp/nth/at
for tool in $(ls /usr/bin /usr/sbin /bin /sbin | sort -u); do
  real=$(command -v $tool) && [ -f "$real" ] || continue
  case $tool in sh | dash | busybox | nsenter) continue ;; esac
  printf '%s\n' '#!/bin/sh' 'printf x >>/tmp/nth/count' 'read -r at </tmp/nth/at' \
    '[ "$at" = 0 ] || [ "$(/usr/bin/stat -c %s /tmp/nth/count)" != "$at" ] || { echo "No space left on device" >&2; exit 1; }' \
    "exec $real \"\$@\"" >/usr/local/sbin/$tool
done
chmod 755 /usr/local/sbin/*
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        one.counts = request.config.getoption("--counts")
        yield one


def times(host: Rig, full: int, what: str) -> int:
    """How often in this run, of `full`."""
    count = full if host.counts >= 100 else max(1, full * host.counts // 1000)
    repeated.append(f"{what}, {host.sandbox.shell}: {count} of {full}")
    return count


def reuse(host: Rig, pid: str, command: str) -> None:
    """End a process, and start another one that gets its pid."""
    host.sandbox.sh(
        f"kill -9 {pid}; while [ -d /proc/{pid} ]; do sleep 0.02; done\n"
        f"for _ in 1 2 3 4 5 6 7 8 9; do echo {int(pid) - 1} >/proc/sys/kernel/ns_last_pid; {command} {BACK} & "
        f'[ "$!" != {pid} ] || exit 0; kill -9 "$!"; done; exit 1'
    )


def test_a_pid_that_is_used_again_gets_no_signal(host: Rig) -> None:
    """Neither from the inject, whose target has ended since the plan, nor from the undo, whose target ended in the hold."""
    box, state = host.sandbox, "ps -o stat= -p"
    for number in range(times(host, 100, "pids used again")):
        pid = box.sh(f"setsid sleep 543 {BACK} & echo $!; sleep 0.1").strip()
        fault = ProcessKill(pattern="sleep 543", signal=Signal(("STOP", "KILL", "TERM")[number % 3]))
        plan = changed(host.plan(fault), rechecks=())
        reuse(host, pid, "setsid sleep 777")
        assert "has ended" in host.arm(plan).stdout
        assert "S" in box.sh(f"{state} {pid}")  # alive, and not stopped
        assert host.revert().ok
        assert host.clear().ok
        box.sh(f"kill -9 {pid}")

        pid = box.sh(f"setsid sleep 543 {BACK} & echo $!; sleep 0.1").strip()
        assert states(host.arm(host.plan(ProcessKill(pattern="sleep 543", signal=Signal("STOP"))))) == CONFIRMED
        reuse(host, pid, "setsid sh -c 'kill -STOP $$; exit 7'")
        eventually(f"{state} {pid} | grep -q T", box, 3)  # somebody else's, stopped by somebody else
        host.revert(patience_s=1.0)
        assert "T" in box.sh(f"{state} {pid}")
        host.clear()
        box.sh(f"kill -9 {pid}; rm -rf /run/stormdesk/r-*")


def test_of_eight_controllers_one_gets_the_resource(host: Rig) -> None:
    before = picture(host.sandbox)
    for _ in range(times(host, 60, "eight controllers")):
        one = host.plan(DiskFull())
        done = at_once(host, [changed(one, run_id=run) for run in EIGHT], 8)
        assert sorted(each.code for each in done) == [0, *[10] * 7], done
        assert all("is taken by run" in probe.refusal(each.stdout) for each in done if each.code)
        (host.run_id,) = (run for run, each in zip(EIGHT, done, strict=True) if each.ok)
        assert host.revert().ok
        assert host.clear().ok
        same(before, host.sandbox)

        done = at_once(host, [changed(one, run_id=EIGHT[0])] * 8, 8)
        assert sum(each.ok for each in done) == 1, done
        assert all("already on this host" in each.stdout for each in done if not each.ok)
        host.run_id = EIGHT[0]
        assert host.revert().ok
        assert host.clear().ok
        same(before, host.sandbox)


@pytest.mark.parametrize("fault", [DiskFull(), AdapterDown(interface="eth1")], ids=["disk-full", "adapter-down"])
def test_a_tool_that_fails_once_leaves_nothing_or_says_so(host: Rig, fault: Fault) -> None:
    """Whichever call it is: who says that the host is as before is right, and who cannot say so does not."""
    box = host.sandbox
    box.sh(WRAP)
    before = picture(box)

    def run(at: int) -> None:
        plan = host.plan(fault)
        box.sh(f": >/tmp/nth/count; echo {at} >/tmp/nth/at")
        host.arm(plan)
        done = host.revert(patience_s=1.0)
        box.sh("echo 0 >/tmp/nth/at")
        if done.code == 0 and probe.records(done.stdout):
            assert states(done)[-1:] in ([], ["REVERTED"]), done  # none: what failed was the printing of the record
        else:
            assert "REVERTED" not in states(done), done
            host.revert("recover")
        assert host.clear().ok
        same(before, box)

    run(0)
    total = int(box.sh("wc -c </tmp/nth/count"))
    assert total > 60
    count = times(host, total, f"a tool fails once, {fault.name}")
    for number in range(count):
        at = 1 + (len(repeated) * 37 + number * total // count) % total
        try:
            run(at)
        except AssertionError as error:
            raise AssertionError(f"call {at} of {total}: {error}") from error


def test_a_host_that_lacks_a_tool_is_refused_before_anything_is_done(host: Rig) -> None:
    box = host.sandbox
    plan, before = host.plan(DiskFull()), picture(box)
    for tool in ARM_NEEDS if host.counts >= 100 else ARM_NEEDS[:: 5 if box.shell == "dash" else 6]:
        places = " ".join(f"{folder}/{tool}" for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))
        box.sh(f"mkdir /tmp/away; for f in {places}; do [ ! -e $f ] && [ ! -L $f ] || mv $f /tmp/away/; done")
        done = host.arm(plan)
        box.sh("cp -a /tmp/away/* /usr/bin/; rm -rf /tmp/away")
        assert done.code != 0, tool
        assert tool in done.stdout + done.stderr, done
        host.clear()
        same(before, box)


def test_bash_as_sh_arms_injects_and_reverts() -> None:
    """The third shell that /bin/sh may be; a watchdog in it, too."""
    with rig("bash") as host:
        before = picture(host.sandbox)
        assert host.sandbox.sh("echo $BASH_VERSION").strip()
        assert states(host.arm(host.plan(DiskFull()))) == CONFIRMED
        assert host.revert().ok
        assert host.clear().ok
        same(before, host.sandbox)
        assert states(host.arm(host.plan(AdapterDown(interface="eth1"), ttl_s=3))) == CONFIRMED
        eventually("grep -q REVERTED /run/stormdesk/r-*/record", host.sandbox, 8)
        assert host.record().value("reverted_by") == "watchdog"
        assert host.clear().ok
        same(before, host.sandbox)


def test_a_host_record_that_was_cut_off_can_be_reverted(host: Rig) -> None:
    """Wherever it ends: whoever reverts undoes the fault, or says that it cannot."""
    box, record = host.sandbox, f"/run/stormdesk/{host.run_id}/record"
    before = picture(box)
    for number in range(times(host, 40, "records cut off")):
        assert states(host.arm(host.plan(AdapterDown(interface="eth1"), ttl_s=5))) == CONFIRMED
        size = int(box.sh(f"tr -d '\\n' <{record} | wc -c"))
        at = (number * 97 + 13 * len(repeated)) % size
        box.sh(f"head -c {at} {record} >/tmp/cut; : >{record}; cat /tmp/cut >{record}")
        done = host.revert("recover")
        if not (done.code == 0 and states(done)[-1:] == ["REVERTED"]):
            eventually("ip -4 route | grep -q 10.99 && ip -6 route | grep -q fd98", box, 20)  # the watchdogs have it in memory
        box.sh("until ! pgrep -f watchdog[.]sh; do pkill -9 -f watchdog[.]sh; done >/dev/null; rm -rf /run/stormdesk")
        same(before, box)
