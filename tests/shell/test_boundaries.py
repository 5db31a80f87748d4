"""SIGKILL at each command boundary of arming, injecting and reverting: the host is as before all the same.

The shell itself says where a command begins: `set -x` expands PS4 before each one, and PS4 counts down and kills. The
traced scripts are the shipped ones with one line in front. `--counts 100` does every boundary, the default one in a hundred of three
faults, and one of two others that it draws; all faults that need no service to work on are among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from stormdesk.core.fault import Fault
from stormdesk.core.values import Signal
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.host.scripts import host_scripts
from tests.shell.rig import Rig, beside, picture, repeated, same
from tests.shell.sandbox import Sandbox, eventually
from tests.shell.test_pairs import HERE

FAULTS: dict[str, Fault] = {
    "disk-full": DiskFull(),
    "adapter-down": AdapterDown(interface="eth1"),
    "process-kill": ProcessKill(pattern="sleep 543", signal=Signal("STOP")),
}
NOT_HERE = ("memory-stress", "noop")  # too much for several hosts at once; nothing to heal
# The injector is its own process group; of the others only the shell dies, as it would at the end of its connection.
VICTIM = {"arm": "$$", "inject": "-$$", "revert": "$$"}
# One token a command; whoever finds none left dies. They are single bytes behind one shared offset, so that the parts of
# a pipeline, which run at once, cannot count wrong.
TRACE = """exec 9</tmp/tokens
trap 'cat <&9 | wc -c >/tmp/rest' EXIT
cat >/tmp/boundary <<'END'
# A child that was started without the descriptor is not counted.
if {{ true <&9; }} 2>/dev/null; then read -r _ <&9 || kill -KILL {victim}; fi
END
PS4='$(. /tmp/boundary)'
set -x
"""
NEVER = 100_000


def tokens(box: Sandbox, count: int) -> None:
    box.sh(f"head -c {count} /dev/zero | tr '\\0' '\\n' >/tmp/tokens")


def until_killed(box: Sandbox, phase: str, fault: Fault, number: int, stop_at: int) -> Rig:
    """Run a fault with the `stop_at`-th command of one phase, and all after it, never executed."""
    scripts = dict(host_scripts())
    name = f"steps/{phase}.sh"
    scripts[name] = TRACE.format(victim=VICTIM[phase]) + scripts[name]
    rig = Rig(box, run_id=f"r-20261121-{number:04}-k3f9", scripts=scripts)
    tokens(box, stop_at - 1)
    rig.arm(rig.plan(fault, ttl_s=2.5))
    if phase == "revert":
        rig.revert()
    return rig


def heal(rig: Rig, before: list[str], phase: str) -> None:
    """Arming that was cut short is cleaned up by whoever recovers; all else heals by the watchdog, with nobody there."""
    if phase == "arm":
        assert rig.revert("recover").ok
    else:
        eventually(f"grep -q REVERTED /run/stormdesk/{rig.run_id}/record", rig.sandbox, 8)
        eventually("! pgrep -f watchdog.sh", rig.sandbox, 3)
        assert rig.status().locks == {}
    assert rig.clear().ok
    same(before, rig.sandbox)


def boundaries(box: Sandbox, phase: str, fault: Fault) -> int:
    """How many commands a phase executes when nobody kills it."""
    rig = until_killed(box, phase, fault, 0, NEVER)
    rest = int(box.sh("cat /tmp/rest"))
    assert rig.revert().ok
    assert rig.clear().ok
    box.sh("rm /tmp/rest")
    return NEVER - rest


def killed(phase: str, fault: str) -> Callable[..., None]:
    """The test of one phase of one fault; every boundary with `--counts 100`, a few of them spread out without."""

    def act(host: Rig) -> None:
        box = host.sandbox
        box.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 &")  # what process-kill stops
        before = picture(box)
        total = boundaries(box, phase, FAULTS[fault])
        assert total > 100
        times = total if host.counts >= 100 else max(2, total * host.counts // 1000)
        repeated.append(f"boundaries of {phase}, {fault}, {host.sandbox.shell}: {times} of {total}")
        first, outlived = len(repeated) % 7, 0
        for number in range(times):
            place = 1 + (first + number * total // times) % total
            rig = until_killed(box, phase, FAULTS[fault], 1 + number, place)
            outlived += box.script(
                "rm /tmp/rest"
            ).ok  # a revert that verifies at once is shorter than one that tries again
            try:
                heal(rig, before, phase)
            except AssertionError as error:
                raise AssertionError(f"stopped before command {place} of {phase}: {error}") from error

        assert outlived <= times // 2, f"only {times - outlived} of {times} were killed"

    act.__name__ = f"test_{fault}_killed_at_a_boundary_of_{phase}"
    return beside(act)


test_disk_full_killed_while_arming = killed("arm", "disk-full")
test_disk_full_killed_while_injecting = killed("inject", "disk-full")
test_disk_full_killed_while_reverting = killed("revert", "disk-full")
test_adapter_down_killed_while_arming = killed("arm", "adapter-down")
test_adapter_down_killed_while_injecting = killed("inject", "adapter-down")
test_adapter_down_killed_while_reverting = killed("revert", "adapter-down")
test_process_kill_killed_while_arming = killed("arm", "process-kill")
test_process_kill_killed_while_injecting = killed("inject", "process-kill")
test_process_kill_killed_while_reverting = killed("revert", "process-kill")


OTHERS = {fault.name: fault for fault in HERE if fault.name not in FAULTS and fault.name not in NOT_HERE}
DRAWN = [(name, phase) for name in sorted(OTHERS) for phase in VICTIM]
Random(time.strftime("%Y-%j")).shuffle(DRAWN)  # others each day, and the same in both shells


def any_fault_killed(host: Rig) -> None:
    """Two boundaries of other faults; each boundary of each of them with `--counts 100`."""
    box, all_of_them = host.sandbox, host.counts >= 100
    tables = "for t in mangle filter nat; do $tool -t $t -N x; $tool -t $t -X x; done"  # which iptables leaves behind, empty
    box.script(f"for tool in iptables ip6tables; do {tables}; done")
    box.sh("mount -o remount,nr_inodes=3000 /var/lib/trading")
    for number, (name, phase) in enumerate(DRAWN if all_of_them else DRAWN[:2]):
        fault, before = OTHERS[name], picture(box)
        total = boundaries(box, phase, fault)
        places = range(1, total + 1) if all_of_them else [Random(f"{name} {phase} {box.shell}").randint(1, total)]
        repeated.append(f"boundaries of {phase}, {name}, {box.shell}: {len(places)} of {total}")
        for place in places:
            rig = until_killed(box, phase, fault, 1000 * number + place, place)
            box.script("rm /tmp/rest")
            try:
                heal(rig, before, phase)
            except AssertionError as error:
                raise AssertionError(f"{name}, stopped before command {place} of {phase}: {error}") from error


test_any_fault_killed_at_a_boundary = beside(any_fault_killed)
