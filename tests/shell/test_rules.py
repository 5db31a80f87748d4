"""The rules of the dead man's switch, one by one, on a real kernel in dash and busybox ash.

No test waits for a guess: either for something that can be seen on the host, with a deadline, or for the deadline of the
run itself. Tests of one module run beside each other (`beside`).
"""

from __future__ import annotations

import os
import re
import signal
import time

from stormdesk.core.fault import Fault
from stormdesk.core.model import Completed
from stormdesk.core.plan import Step
from stormdesk.core.values import Signal
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.host import probe, render
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, beside, picture, same, states, uptime_s
from tests.shell.sandbox import eventually, require

ARMED = ["INTENT", "ARMED", "ACKED"]
FILL = "/var/lib/trading/.stormdesk-r-20261121-0312-k3f9"
REC = "/run/stormdesk/r-20261121-0312-k3f9"
MAX_LATE_CS = 150  # of a watchdog on a busy machine; the requirement is 200


def refused(done: Completed, code: int, why: str) -> None:
    assert done.code == code, done
    assert why in probe.refusal(done.stdout), done.stdout


def watchdogs(host: Rig) -> dict[str, int]:
    """Pid of each watchdog that is alive, by letter."""
    text = host.sandbox.sh(f"for letter in a b; do read -r id _ <{REC}/watch.$letter && echo $letter $id; done")
    alive = set(host.record().watchdogs)
    return {
        letter: int(identity.split(".")[0])
        for letter, identity in map(str.split, text.splitlines())
        if identity in alive
    }


def kill(host: Rig, *pids: int) -> None:
    """All at once: one that sees the other dead would start it again before its own end."""
    all_of_them = " ".join(map(str, pids))
    host.sandbox.sh(f"kill -STOP {all_of_them}; kill -KILL {all_of_them}")


def reverted_by_watchdog(host: Rig, before: list[str], within_s: float) -> None:
    """Nobody does anything; the host heals, says who did it and how late, and is as before."""
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, within_s)
    record = host.record()
    assert record.value("reverted_by") == "watchdog"
    assert record.lateness_ms <= 10 * MAX_LATE_CS
    assert host.clear().ok
    same(before, host.sandbox)


# ---- R1: arm before inject ------------------------------------------------------------------------------------------


@beside
def test_inject_is_refused_without_an_acknowledgement_rule_R1(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull()), inject=False)) == ARMED
    host.sandbox.sh(f"sed -i '/ACKED/d' {REC}/record")
    refused(host.inject(), 11, "not armed and acknowledged: the record says ARMED")
    assert not host.sandbox.script(f"test -e {FILL}").ok
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_inject_is_refused_when_both_watchdogs_are_dead_rule_R1(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull()), inject=False)) == ARMED
    kill(host, *watchdogs(host).values())
    eventually("! pgrep -f watchdog.sh", host.sandbox, 2)
    refused(host.inject(), 11, "the watchdog is gone")
    assert not host.sandbox.script(f"test -e {FILL}").ok
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_inject_of_a_run_that_nobody_armed_does_nothing_rule_R1(host: Rig) -> None:
    before = picture(host.sandbox)
    assert not host.inject().ok
    same(before, host.sandbox)


@beside
def test_the_watchdogs_are_alive_and_acknowledged_before_the_first_side_effect_rule_R1(host: Rig) -> None:
    plan = host.plan(DiskFull())
    look = (
        "sh",
        "-c",
        f"cp {REC}/record /tmp/then; cat {REC}/watch.a {REC}/watch.b >>/tmp/then; pgrep -fc [w]atchdog.sh >>/tmp/then",
    )
    assert host.arm(changed(plan, steps=(Step(look, ()), *plan.change.steps))).ok
    then = host.sandbox.sh("cat /tmp/then").split()
    assert then.index("ACKED") < then.index("INJECTING")
    assert then[-1] == "2"
    assert host.revert().ok


@beside
def test_arming_is_refused_when_one_of_the_watchdogs_does_not_come_up_rule_R1(host: Rig) -> None:
    before = picture(host.sandbox)
    broken = '[ "$2" = a ] || exit 1\n' + host.scripts["steps/watchdog.sh"]
    lame = Rig(host.sandbox, scripts={**host.scripts, "steps/watchdog.sh": broken})
    refused(lame.arm(lame.plan(DiskFull())), 10, "the watchdog did not come up within 3 s")
    assert not host.sandbox.script("pgrep -f watchdog.sh").ok
    assert host.status().empty
    same(before, host.sandbox)


# ---- R2, R3, R15: it fires by itself, on time, and says so -----------------------------------------------------------


@beside
def test_the_watchdog_reverts_at_the_deadline_with_nobody_there_rule_R15(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=2.5))) == CONFIRMED
    reverted_by_watchdog(host, before, 6)


@beside
def test_a_cut_link_is_restored_by_the_watchdog_rule_R15(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = changed(host.plan(AdapterDown(network="market"), ttl_s=2.5), cuts=True)
    assert states(host.arm(plan))[:3] == ARMED  # its answer leaves before the link goes
    eventually("[ $(cat /sys/class/net/eth1/operstate) = down ]", host.sandbox, 2)
    reverted_by_watchdog(host, before, 6)


@beside
def test_a_stopped_process_is_continued_by_the_watchdog_rule_R15(host: Rig) -> None:
    victim = host.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 & echo $!").strip()
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(ProcessKill(pattern="sleep 543", signal=Signal("STOP")), ttl_s=2.5))) == CONFIRMED
    reverted_by_watchdog(host, before, 6)
    assert "T" not in host.sandbox.sh(f"ps -o stat= -p {victim}")


@beside
def test_the_record_is_removed_and_the_watchdog_reverts_from_memory_rule_R2(host: Rig) -> None:
    """Its scripts, the plan and the locks included: nothing on any disk is needed to fire."""
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=4))) == CONFIRMED
    host.sandbox.sh("rm -rf /run/stormdesk/r-*")
    eventually(f"! test -e {FILL}", host.sandbox, 6)  # at the deadline: while they wait they look at nothing
    eventually("! pgrep -f watchdog.sh", host.sandbox, 6)
    host.sandbox.sh("rm -rf /run/stormdesk")
    same(before, host.sandbox)


@beside
def test_a_host_without_a_network_and_python_still_heals_rule_R2(host: Rig) -> None:
    host.sandbox.sh(
        'for tool in python3 ssh; do p=$(readlink -f "$(command -v $tool)") && mount --bind /bin/false $p; done'
    )
    host.sandbox.sh("ip link set lo down; ip link set eth1 down")
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=2.5))) == CONFIRMED
    reverted_by_watchdog(host, before, 6)


@beside
def test_a_host_with_busybox_tools_only_rule_R14(host: Rig) -> None:
    """All but ip and tc: grep that stops at a NUL, setpriv without users, stat, sort and du of other authors."""
    require("busybox")
    box = host.sandbox
    box.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 &")
    keep = "ip|tc|busybox|sh|ash|'['|'[['|mount|umount|nsenter|unshare|ps"
    box.sh(
        f"for tool in $(busybox --list); do case $tool in {keep}) ;; *) ln -s $(command -v busybox) /usr/local/bin/$tool;; esac; done"
    )
    stop = ProcessKill(pattern="sleep 543", signal=Signal("STOP"))
    faults: tuple[Fault, ...] = (DiskFull(), AdapterDown(interface="eth1"), stop)
    for number, fault in enumerate(faults):
        before = picture(box)
        one = Rig(box, run_id=f"r-20261121-000{number}-k3f9")
        done = one.arm(one.plan(fault))
        assert (done.code, states(done)) == (0, CONFIRMED), done
        assert one.revert().ok
        assert one.clear().ok
        same(before, box)


# ---- R5: full tmpfs, no inodes ---------------------------------------------------------------------------------------


@beside
def test_a_full_tmpfs_does_not_stop_the_revert_rule_R5(host: Rig) -> None:
    before = picture(host.sandbox)
    host.sandbox.sh("mount -o remount,size=2m,nr_inodes=60 /run")
    assert states(host.arm(host.plan(DiskFull(), ttl_s=3))) == CONFIRMED
    host.sandbox.script("i=0; while touch /run/inode.$i; do i=$((i + 1)); done; cat /dev/zero >/run/inode.0; :")
    assert host.sandbox.sh("df -k /run | tail -n 1; df -i /run | tail -n 1").split()[3::6] == ["0", "0"]
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 6)
    assert host.record().value("reverted_by") == "watchdog"
    assert host.clear().ok
    host.sandbox.sh("rm /run/inode.*; mount -o remount,size=50%,nr_inodes=0 /run")
    assert [line for line in picture(host.sandbox) if not line.startswith("mount")] == [
        line for line in before if not line.startswith("mount")
    ]


@beside
def test_a_record_that_is_nearly_full_is_never_corrupted_rule_R5(host: Rig) -> None:
    """Remarks fill it up to its last byte; states still go in, the size stays, and every line can be read."""
    assert states(host.arm(host.plan(DiskFull()))) == CONFIRMED
    good = '[ $(stat -c %s $rec/record) = 4096 ] && sd_read && [ "$sd_state" = CONFIRMED ] || exit 9'
    lib = f". {REC}/lib.sh; rec={REC}\n"
    host.sandbox.sh(f'{lib}for i in $(seq 120); do sd_note "remark=$i {"x" * 80}"; {good}; done')
    for wanted in range(4090, 4101):  # a last line that ends just before, at and after the end of the record
        shrink = 'sd_read; sd_put "$(printf %s "$sd_history" | grep -v \' STEP \')$sd_newline"; sd_read'
        long = f"n=$(({wanted} - ${{#sd_history}} - 13)); sd_write STEP $(head -c $n /dev/zero | tr '\\0' y)"
        host.sandbox.sh(f"{lib}{shrink}; {long}; {good}; sd_write STEP one=more; {good}")
        assert [line.state for line in host.record().lines if line.state != "STEP"] == CONFIRMED
        assert host.record().value("one") == "more"
    done = host.revert()
    assert (done.code, states(done)[-1]) == (0, "REVERTED")


@beside
def test_a_reader_never_sees_half_a_line_rule_R5(host: Rig) -> None:
    assert host.arm(host.plan(DiskFull())).ok
    write = f'. {REC}/lib.sh; rec={REC}; i=0; while [ $i -lt 120 ]; do i=$((i + 1)); sd_write STEP "n=$i end"; done'
    writer = host.sandbox.start(write)
    read = f". {REC}/lib.sh; rec={REC}; i=0; while [ $i -lt 300 ]; do i=$((i + 1)); sd_read; printf '%s' \"$sd_history\"; done"
    lines = set(host.sandbox.sh(read).splitlines())
    writer.communicate(timeout=20)
    assert writer.returncode == 0
    assert len(lines) > 20
    assert [line for line in lines if not re.fullmatch(r"\d+ [A-Z]+( .*)?", line)] == []
    assert [line for line in lines if " STEP n=" in line and not line.endswith(" end")] == []
    assert host.revert().ok


# ---- R8: detached, nothing inherited ----------------------------------------------------------------------------------


@beside
def test_the_watchdogs_inherit_no_descriptor_lock_or_session_rule_R8(host: Rig) -> None:
    plan = host.plan(DiskFull())
    script = "exec 7>/tmp/lock 8</etc/passwd 9>/tmp/other\nflock 7 2>/dev/null\n" + host.arm_script(plan)
    began = time.monotonic()
    done = host.sandbox.script(script)
    assert (done.code, states(done)) == (0, CONFIRMED)
    assert time.monotonic() - began < 10  # nobody kept the channel open until the deadline
    host.sandbox.sh("command -v flock && flock -n /tmp/lock true")
    for letter, pid in watchdogs(host).items():
        files = host.sandbox.sh(f"ls -l /proc/{pid}/fd").splitlines()[1:]
        assert {line.split("-> ")[1] for line in files} <= {"/dev/null", f"{REC}/watchdog.sh", f"{REC}/life.{letter}"}
        assert host.sandbox.sh(f"readlink /proc/{pid}/cwd") == "/\n"
        assert host.sandbox.sh(f"ps -o sid= -p {pid}").strip() == str(pid)
        ignored = int(host.sandbox.sh(f"sed -n 's/^SigIgn:[[:space:]]*//p' /proc/{pid}/status"), 16)
        assert all(ignored & 1 << number - 1 for number in (1, 2, 13, 15))
    host.sandbox.sh("pkill -HUP -f watchdog.sh; pkill -TERM -f watchdog.sh; pkill -INT -f watchdog.sh")
    assert len(watchdogs(host)) == 2
    assert host.revert().ok


# ---- R9: the watchdogs watch each other -------------------------------------------------------------------------------


@beside
def test_each_watchdog_is_respawned_at_once_rule_R9(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=7))) == CONFIRMED
    for letter in "ab":
        old = watchdogs(host)
        kill(host, old[letter])
        began = time.monotonic()
        while len(now := watchdogs(host)) < 2 or now[letter] == old[letter]:
            assert time.monotonic() - began < 5
            time.sleep(0.05)
    reverted_by_watchdog(host, before, 9)


@beside
def test_a_hanging_watchdog_is_backed_up_by_the_other_rule_R9(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=4))) == CONFIRMED
    stopped = watchdogs(host)["a"]
    host.sandbox.sh(f"kill -STOP {stopped}")
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 10)
    assert host.record().lateness_ms <= 3500
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_both_watchdogs_dead_is_seen_and_can_be_reverted_rule_R13(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull()))) == CONFIRMED
    kill(host, *watchdogs(host).values())
    eventually("! pgrep -f watchdog.sh", host.sandbox, 2)
    assert host.record().watchdogs == ()
    done = host.revert("recover")
    assert (done.code, probe.records(done.stdout)[0].value("reverted_by")) == (0, "recover")
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_an_arming_that_died_midway_can_be_cleaned_up_rule_R13(host: Rig) -> None:
    """A record without an INTENT: nothing was done for it, its lock goes too."""
    before = picture(host.sandbox)
    plan = host.plan(DiskFull())
    assert host.arm(plan, inject=False).ok
    kill(host, *watchdogs(host).values())
    host.sandbox.sh(f"cd {REC}; rm -f record watch.* files space; rm -rf /var/lib/stormdesk /etc/stormdesk")
    assert host.status().locks
    assert host.revert("recover").stdout == "gone\n"
    assert host.status().empty
    same(before, host.sandbox)


# ---- R10: fencing ------------------------------------------------------------------------------------------------------


@beside
def test_an_inject_too_close_to_the_deadline_is_refused_rule_R10(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=1.6), inject=False)) == ARMED
    time.sleep(0.7)
    refused(host.inject(), 11, "too late")
    reverted_by_watchdog(host, before, 5)


@beside
def test_a_late_inject_is_refused_rule_R10(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=1), inject=False)) == ARMED
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 5)
    refused(host.inject(), 11, "the record says REVERTED")
    reverted_by_watchdog(host, before, 5)


@beside
def test_a_replayed_inject_and_a_double_arm_are_refused_rule_R10(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = host.plan(DiskFull())
    script = host.arm_script(plan)
    assert states(host.sandbox.script(script)) == CONFIRMED
    refused(host.inject(), 11, "not armed and acknowledged: the record says CONFIRMED")
    refused(host.sandbox.script(script), 10, f"run {host.run_id} is already on this host")
    assert host.revert().ok
    refused(host.inject(), 11, "the record says REVERTED")
    refused(host.sandbox.script(script), 10, f"run {host.run_id} is already on this host")
    assert host.clear().ok
    assert not host.inject().ok
    same(before, host.sandbox)


@beside
def test_an_arming_that_comes_after_its_controller_gave_up_is_refused_rule_R10(host: Rig) -> None:
    before = picture(host.sandbox)
    script = host.arm_script(host.plan(DiskFull()), not_after_s=uptime_s() - 2)
    refused(host.sandbox.script(script), 10, "too late: the controller has stopped waiting")
    same(before, host.sandbox)


@beside
def test_an_injector_that_hangs_is_ended_at_the_deadline_with_all_its_children_rule_R10(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = host.plan(DiskFull(), ttl_s=2)
    hang = Step(
        ("sh", "-c", "trap '' TERM HUP; sleep 77 & sleep 78; touch /var/lib/trading/late"),
        (("rm", "-f", "/var/lib/trading/late"),),
    )
    process = host.sandbox.start(host.arm_script(changed(plan, steps=(*plan.change.steps, hang))))
    eventually("pgrep -f 'sleep 78'", host.sandbox, 2)
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 7)
    process.communicate(timeout=5)
    assert not host.sandbox.script("pgrep -f 'sleep 7[78]'").ok
    assert [line.state for line in host.record().lines if line.state != "STEP"] == [
        *ARMED,
        "INJECTING",
        "REVERTING",
        "REVERTED",
    ]
    reverted_by_watchdog(host, before, 5)


@beside
def test_the_controllers_session_dies_and_nothing_is_left_rule_R10(host: Rig) -> None:
    """The group of the session is killed in the middle of arming, as sshd does it; 4 moments."""
    before = picture(host.sandbox)
    for number, moment in enumerate((0.02, 0.06, 0.1, 0.2)):
        one = Rig(host.sandbox, run_id=f"r-20261121-031{number}-k3f9", known=None)
        process = one.sandbox.start(one.arm_script(one.plan(AdapterDown(interface="eth1"), ttl_s=1.5)))
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)
        done = one.revert("recover", 5)
        assert done.ok, done.stdout
        assert one.clear().ok
    same(before, host.sandbox)


# ---- R11: revert is absolute, idempotent, read back -------------------------------------------------------------------


@beside
def test_revert_is_idempotent_from_any_state_rule_R11(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = host.plan(DiskFull())
    assert host.revert().stdout == "gone\n"  # never heard of
    assert host.arm(plan, inject=False).ok
    for _ in range(3):  # from ACKED, then from REVERTED
        assert host.revert().ok
    assert [line.state for line in host.record().lines] == [*ARMED, "REVERTING", "REVERTED"]
    assert host.clear().ok
    assert host.clear().ok
    assert host.revert().stdout == "gone\n"
    same(before, host.sandbox)


@beside
def test_several_reverts_at_once_agree_rule_R11(host: Rig) -> None:
    before = picture(host.sandbox)
    assert host.arm(host.plan(DiskFull())).ok
    script = render.revert(host.scripts, host.run_id, "controller", 5)
    processes = [host.sandbox.start(script) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert [line.state for line in host.record().lines].count("REVERTED") >= 1
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_a_revert_that_does_not_work_says_so_until_it_does_rule_R11(host: Rig) -> None:
    """A file that cannot be removed: exit 14, REVERT_FAILED, what differs; nothing is cleared; later it works."""
    before = picture(host.sandbox)
    assert host.arm(host.plan(DiskFull())).ok
    host.sandbox.sh("mount -o remount,ro /var/lib/trading")
    done = host.revert(patience_s=0.5)
    assert (done.code, states(done)[-1]) == (14, "REVERT_FAILED")
    assert any(FILL in line for line in probe.delta(done.stdout).left)
    assert host.clear().code == 15
    host.sandbox.sh("mount -o remount,rw /var/lib/trading")
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_an_inject_that_fails_in_the_middle_is_undone_step_by_step_rule_R11(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = host.plan(AdapterDown(interface="eth1"))
    bad = Step(("sh", "-c", "echo 'no such thing' >&2; exit 3"), (("rm", "-f", "/tmp/never"),))
    done = host.arm(changed(plan, steps=(*plan.change.steps, bad)))
    assert (done.code, states(done)[-1]) == (12, "FAILED")
    assert "step=2 code=3 no such thing" in probe.records(done.stdout)[0].lines[-1].text
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_a_fault_without_effect_is_reported_as_such_rule_R11(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = host.plan(DiskFull())
    done = host.arm(changed(plan, steps=(Step(("true",), plan.change.steps[0].undo),)))
    assert (done.code, states(done)[-1]) == (13, "UNWITNESSED")
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


# ---- refusals of the host itself: nothing is touched -------------------------------------------------------------------


@beside
def test_the_host_refuses_and_nothing_is_touched(host: Rig) -> None:
    plan = changed(host.plan(DiskFull()), persistent=True)
    identity = "/proc/sys/kernel/random/boot_id"
    cases = (
        ("echo stop >/run/halt; mkdir -p /run/stormdesk; mv /run/halt /run/stormdesk/halt", "halted: stop", "rm -r /run/stormdesk"),
        ("touch /etc/stormdesk.production", "this host is in production", "rm /etc/stormdesk.production"),
        ("cp /etc/stormdesk.target /tmp/t; echo x >/etc/stormdesk.target", "changed since the plan", "cat /tmp/t >/etc/stormdesk.target"),
        (f"echo other >/tmp/id; mount --bind /tmp/id {identity}", "this host restarted", f"umount {identity}"),
        ("cp /etc/inittab /tmp/i; : >/etc/inittab", "nothing on this host runs /etc/stormdesk/boot", "cat /tmp/i >/etc/inittab"),
        ("mount --bind /dev/null /usr/bin/sha256sum", "this host has no sha256sum", "umount /usr/bin/sha256sum"),
    )  # fmt: skip
    for number, (spoil, why, mend) in enumerate(cases):
        before = picture(host.sandbox)
        host.sandbox.sh(spoil)
        refused(host.arm(plan), 10, why)
        host.sandbox.sh(mend)
        same(before, host.sandbox)
        assert host.status().empty, (number, host.status())


@beside
def test_facts_that_changed_since_the_plan_are_refused(host: Rig) -> None:
    plan = host.plan(AdapterDown(interface="eth1"))
    host.sandbox.sh("ip link set dev eth1 mtu 1400")
    before = picture(host.sandbox)
    refused(host.arm(plan), 10, "changed since the plan was made: ip -o link show dev eth1")
    same(before, host.sandbox)


@beside
def test_a_halt_after_arming_stops_the_inject(host: Rig) -> None:
    before = picture(host.sandbox)
    assert host.arm(host.plan(DiskFull()), inject=False).ok
    assert host.sandbox.script(render.halt(host.scripts, "enough")).ok
    assert host.status().halt == "enough"
    refused(host.inject(), 11, "halted")
    assert host.revert("halt").ok
    assert host.clear().ok
    refused(host.arm(host.plan(DiskFull())), 10, "halted: enough")
    assert host.sandbox.script(render.lift(host.scripts)).ok
    same(before, host.sandbox)
    assert host.arm(host.plan(DiskFull())).ok
    assert host.revert().ok


@beside
def test_a_resource_is_held_by_one_run_at_a_time(host: Rig) -> None:
    before = picture(host.sandbox)
    other = Rig(host.sandbox, run_id="r-20261121-0399-aaaa")
    theirs = other.plan(DiskFull())
    assert host.arm(host.plan(DiskFull())).ok
    refused(other.arm(theirs), 10, f"{theirs.change.resources[0]} is taken by run {host.run_id}")
    assert [record.run_id for record in host.status().records] == [host.run_id]
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_two_runs_on_two_resources_are_independent(host: Rig) -> None:
    before = picture(host.sandbox)
    other = Rig(host.sandbox, run_id="r-20261121-0399-aaaa")
    assert host.arm(host.plan(DiskFull())).ok
    assert states(other.arm(other.plan(AdapterDown(interface="eth1")))) == CONFIRMED
    assert host.revert().ok
    assert host.clear().ok
    assert host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "down\n"
    assert other.revert().ok
    assert other.clear().ok
    same(before, host.sandbox)
