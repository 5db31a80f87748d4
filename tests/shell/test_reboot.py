"""A reboot of the host: volatile faults are gone, persistent ones are undone by the boot hook or by recover.

The restart is simulated: every process but the first is killed, /run is a new tmpfs, the boot id is another one, links
are as the start of a host makes them; then /etc/stormdesk/boot runs, if it is there.
"""

from __future__ import annotations

from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.host import probe, render
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, beside, picture, same, states

FILL = "/var/lib/trading/.stormdesk-r-20261121-0312-k3f9"
DURABLE = "/var/lib/stormdesk/r-20261121-0312-k3f9"
RESTART = """
kill -KILL -1
"""
START = """
umount /run
mount -t tmpfs -o mode=755 tmpfs /run
cat /proc/sys/kernel/random/uuid >/tmp/boot_id
mount --bind /tmp/boot_id /proc/sys/kernel/random/boot_id
ip link set eth1 up
[ ! -x /etc/stormdesk/boot ] || /etc/stormdesk/boot
"""


def restart(host: Rig) -> None:
    """`kill -1` spares pid 1, and so the sandbox."""
    host.sandbox.script(RESTART)
    host.sandbox.sh(START)


def persistent(host: Rig, *, no_boot_hook: bool = False) -> list[str]:
    """A disk fill that survives a restart (the sandbox's file system is kept by its mount); the picture from before."""
    before = picture(host.sandbox)
    plan = changed(host.plan(DiskFull()), persistent=True)
    assert states(host.arm(plan, no_boot_hook=no_boot_hook)) == CONFIRMED
    return before


def after(host: Rig, before: list[str]) -> None:
    """Clear and compare; the mount of the new boot id is the restart's."""
    assert host.clear().ok
    assert host.status().empty
    host.sandbox.sh("umount /proc/sys/kernel/random/boot_id")
    same(before, host.sandbox)


@beside
def test_the_boot_hook_undoes_what_persists_and_leaves_a_record_rule_R4(host: Rig) -> None:
    before = persistent(host)
    assert host.sandbox.sh(f"ls {DURABLE}; cat /etc/stormdesk/boot").count("boot.sh") >= 2
    restart(host)
    assert not host.sandbox.script(f"test -e {FILL}").ok
    record = host.record()
    assert (record.state, record.value("reverted_by"), record.value("fault")) == ("REVERTED", "boot", "disk-full")
    assert not host.sandbox.script(f"test -e {DURABLE} || test -e /etc/stormdesk/boot").ok
    assert host.revert("recover").ok
    after(host, before)


@beside
def test_a_restart_without_a_boot_hook_is_finished_by_recover_rule_R4(host: Rig) -> None:
    host.sandbox.sh(": >/etc/inittab")
    before = persistent(host, no_boot_hook=True)
    restart(host)
    host.sandbox.sh(f"test -e {FILL}")
    assert [record.run_id for record in host.status().records] == [host.run_id]
    done = host.revert("recover")
    assert (done.code, states(done)[-1]) == (0, "REVERTED")
    assert not host.sandbox.script(f"test -e {FILL}").ok
    after(host, before)


@beside
def test_a_volatile_fault_leaves_nothing_after_a_restart_rule_R4(host: Rig) -> None:
    assert states(host.arm(host.plan(AdapterDown(interface="eth1")))) == CONFIRMED
    assert not host.sandbox.script("test -e /var/lib/stormdesk || test -e /etc/stormdesk/boot").ok
    restart(host)
    assert host.status().empty
    assert host.revert("recover").stdout == "gone\n"


@beside
def test_a_restart_in_the_middle_of_arming_leaves_something_that_recover_finishes_rule_R4(host: Rig) -> None:
    """The durable record is half written when the power goes: its scripts or its plan are missing."""
    for missing in ("boot.sh", "plan.sh", "files"):
        before = persistent(host)
        host.sandbox.sh(f"rm {DURABLE}/complete {DURABLE}/{missing} {FILL}")
        restart(host)
        status = probe.status(host.sandbox.script(render.status(host.scripts)).stdout)
        assert [record.run_id for record in status.records] == [host.run_id], missing
        done = host.revert("recover")
        assert done.ok, (missing, done)
        after(host, before)


@beside
def test_two_runs_share_the_boot_hook_and_the_last_one_takes_it_away_rule_R4(host: Rig) -> None:
    before = picture(host.sandbox)
    host.sandbox.sh("mkdir -m 777 /tmp/other; mount -t tmpfs -o size=16m tmpfs /tmp/other")
    other = Rig(host.sandbox, run_id="r-20261121-0399-aaaa")
    theirs = changed(other.plan(DiskFull(path="/tmp/other")), persistent=True)
    assert states(host.arm(changed(host.plan(DiskFull()), persistent=True))) == CONFIRMED
    assert states(other.arm(theirs)) == CONFIRMED
    assert host.revert().ok
    assert host.clear().ok
    host.sandbox.sh("test -x /etc/stormdesk/boot")
    restart(host)
    assert [record.value("reverted_by") for record in host.status().records] == ["boot"]
    assert other.clear().ok
    host.sandbox.sh("umount /proc/sys/kernel/random/boot_id /tmp/other; rmdir /tmp/other")
    same(before, host.sandbox)


# ---- hosts whose start reads something else than an inittab ------------------------------------------------------------

UNIT = "/etc/systemd/system/stormdesk-boot.service"
WANTED = "/etc/systemd/system/sysinit.target.wants/stormdesk-boot.service"
SYSTEMD = (
    "mkdir -p /run/systemd/system /etc/systemd/system; rm -rf /etc/inittab /etc/systemd/system/sysinit.target.wants; "
    "printf '#!/bin/sh\\necho \"$@\" >>/tmp/systemctl\\n' >/usr/local/sbin/systemctl; chmod 755 /usr/local/sbin/systemctl"
)
OPENRC = "mkdir -p /run/openrc /etc/runlevels/boot /etc/init.d; rm -f /etc/inittab"
RC_LOCAL = "echo '::sysinit:/etc/rc.local' >/etc/inittab; rm -f /etc/rc.local"
WITHOUT_INITTAB = START.replace("[ ! -x /etc/stormdesk/boot ] || /etc/stormdesk/boot\n", "")


def started_by(host: Rig, prepare: str, reads: str, runs: str) -> None:
    """`prepare` tells the host who starts it, which `reads` a file then and runs what it says, `runs`."""
    host.sandbox.sh(prepare)
    before = persistent(host)
    host.sandbox.sh(f"test -e {reads} && test -x /etc/stormdesk/boot")
    host.sandbox.script(RESTART)
    host.sandbox.sh(WITHOUT_INITTAB + runs)
    assert not host.sandbox.script(f"test -e {FILL}").ok
    assert (host.record().state, host.record().value("reverted_by")) == ("REVERTED", "boot")
    assert not host.sandbox.script(f"test -e {DURABLE} || test -e /etc/stormdesk").ok
    after(host, before)


@beside
def test_case_C2A_systemd_undoes_what_persists(host: Rig) -> None:
    started_by(host, SYSTEMD, WANTED, f"mkdir -p /run/systemd/system; $(sed -n 's/^ExecStart=//p' {WANTED})")
    host.sandbox.sh("! test -e /tmp/systemctl")  # a reload in the middle of a boot lets services start before the hook is done


@beside
def test_case_C2A_openrc_undoes_what_persists(host: Rig) -> None:
    hook = "/etc/runlevels/boot/stormdesk-boot"
    started_by(host, OPENRC, hook, f"sh -c '. {hook}; start'")


@beside
def test_case_C2A_rc_local_undoes_what_persists(host: Rig) -> None:
    started_by(host, RC_LOCAL, "/etc/rc.local", "/etc/rc.local")


@beside
def test_case_C2A_a_run_without_a_restart_takes_the_boot_hook_away(host: Rig) -> None:
    host.sandbox.sh(f"{SYSTEMD}; mkdir -p {WANTED.rpartition('/')[0]}")
    before = persistent(host)
    host.sandbox.sh(f"test -e {WANTED} && test -e {UNIT}")
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)  # with the folder for links, which was there


@beside
def test_case_C2A_who_finds_it_after_the_restart_is_who_reverted(host: Rig) -> None:
    host.sandbox.sh(": >/etc/inittab")
    before = persistent(host, no_boot_hook=True)
    restart(host)
    assert host.revert("controller").ok
    record = host.record()
    assert (record.value("reverted_by"), record.value("restarted")) == ("controller", "1")
    after(host, before)


@beside
def test_case_C2A_a_hook_that_cannot_be_or_is_not_ours_is_refused_with_the_reason(host: Rig) -> None:
    host.sandbox.sh(SYSTEMD)
    plan = changed(host.plan(DiskFull()), persistent=True)
    cases = (
        ("mount --bind -o ro /etc /etc", "/etc is read-only", "umount /etc"),
        (f"echo theirs >{UNIT}", f"{UNIT} is there, and is not Stormdesk's", f"grep -qx theirs {UNIT} && rm {UNIT}"),
        (
            f"mkdir {WANTED.rpartition('/')[0]}; ln -s /dev/null {WANTED}",
            f"{WANTED} is there",
            f"rm -r {WANTED.rpartition('/')[0]}",
        ),
        ("rmdir /run/systemd/system", "nothing on this host runs /etc/stormdesk/boot", "mkdir /run/systemd/system"),
        (
            f"rmdir /run/systemd/system; {RC_LOCAL}; touch /etc/rc.local",
            "/etc/rc.local does not run",
            SYSTEMD + "; rm /etc/rc.local",
        ),
    )
    for spoil, why, mend in cases:
        before = picture(host.sandbox)
        host.sandbox.sh(spoil)
        done = host.arm(plan)
        assert (done.code, why in done.stdout) == (10, True), (why, done)
        facts = host.facts(DiskFull())
        assert not facts.boot_hook
        assert why in facts.no_boot_hook
        host.sandbox.sh(mend)
        same(before, host.sandbox)
