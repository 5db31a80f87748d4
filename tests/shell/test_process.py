"""process-kill: its permitted targets, the manager that it asks, and its evidence; in dash and busybox ash."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import ServiceEntry
from stormdesk.core.plan import Plan
from stormdesk.core.values import Duration, Signal
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.host.scripts import probe
from tests.shell.rig import CONFIRMED, Rig, rig, states
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import SUPERVISOR

IN_BACKGROUND = "</dev/null >/dev/null 2>&1 &"
# A systemctl that writes down what it is asked, for a service that runs while /tmp/unit.pid names a process.
SYSTEMCTL = """
mkdir -p /usr/local/bin /run/systemd/system
cat >/usr/local/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/tmp/asked
running() { grep -q '^State:.[^Z]' "/proc/$(cat /tmp/unit.pid)/status" 2>/dev/null; }
case "$*" in
  *ActiveState*) echo Id=trader.service; echo "ActiveState=$(running && echo active || echo failed)" ;;
  show*) running && cat /tmp/unit.pid || echo 0 ;;
  *is-active*) running ;;
  reset-failed*) rm -f /run/start-limit-hit ;;
  start*) [ ! -e /run/start-limit-hit ] || exit 1; setsid sleep 3000 </dev/null >/dev/null 2>&1 & echo $! >/tmp/unit.pid ;;
esac
END
chmod 755 /usr/local/bin/systemctl
/usr/local/bin/systemctl start trader
"""


@pytest.fixture(scope="module", params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def started(host: Rig, command: str) -> str:
    """The pid of a command in a session of its own."""
    return host.sandbox.sh(f"setsid {command} {IN_BACKGROUND} echo $!; sleep 0.3").strip()


def target(host: Rig, fault: ProcessKill) -> str:
    """The pid that would be signalled."""
    plan = fault.plan(host.facts(fault), host.site(), None)
    assert isinstance(plan, Plan), plan
    return plan.change.steps[0].do[2].split(".")[0]


def refused(host: Rig, fault: ProcessKill) -> str:
    """Why nothing would be."""
    with pytest.raises(RefusedError) as error:
        fault.plan(host.facts(fault), host.site(), None)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_case_C16_pid_files_as_daemons_write_them(host: Rig) -> None:
    pid = started(host, "sleep 543")
    fault = ProcessKill(pidfile="/run/x.pid")
    for text in ("PID", "PID\\n", "  PID  \\n", "PID\\r\\n", "PID nginx\\n", "PID\\n/var/lib/postgres\\n5432\\n"):
        host.sandbox.sh(f"printf '{text.replace('PID', pid)}' >/run/x.pid")
        assert target(host, fault) == pid, text
    for text, why in (
        ("", 'its first line holds no pid: ""'),
        ("* $(reboot)\\n", 'its first line holds no pid: "* $(reboot)"'),
        ("999999\\n", "no process has the pid 999999"),
        ("1\\n", "1 ("),
    ):
        host.sandbox.sh(f"printf '{text}' >/run/x.pid")
        said = refused(host, fault)
        assert "selects 0 processes" in said, text
        assert why in said, text
    host.sandbox.sh(f"rm /run/x.pid; kill {pid}")
    assert "there is no such file" in refused(host, fault)


def test_case_C17_words_protect_nobody(host: Rig) -> None:
    words = (
        "--collector.systemd.unit-include=(containerd|dockerd|sshd|supervisord).service /run/stormdesk/r-1/watchdog.sh"
    )
    pid = started(host, f"sh -c 'while :; do sleep 1; done' exporter '{words}'")
    assert target(host, ProcessKill(pattern="exporter")) == pid
    host.sandbox.sh(f"kill {pid}")


def test_case_C17_what_carries_us_is_left_out_by_what_it_executes_and_named(host: Rig) -> None:
    carriers = {
        "sshd": "an SSH server",
        "dockerd": "a container engine",
        "containerd-shim-runc-v2": "a container engine",
    }
    for name, why in carriers.items():
        host.sandbox.sh(f"mkdir -p /tmp/bin; cp /bin/bash /tmp/bin/{name}")
        pid = started(host, f"/tmp/bin/{name} -c 'while :; do read -t 9 </dev/zero || sleep 9; done' renamed")
        host.sandbox.sh(f"rm /tmp/bin/{name}")  # as an upgrade does
        said = refused(host, ProcessKill(pattern="renamed"))
        assert f"{pid} (/tmp/bin/{name}" in said, said
        assert f"is {why}. Nothing was changed" in said
        host.sandbox.sh(f"kill -9 {pid}")


def test_case_C17_a_watchdog_is_left_out_by_its_record(host: Rig) -> None:
    pid = started(host, "sleep 543")
    assert host.arm(host.plan(ProcessKill(pattern="sleep 543", signal=Signal("STOP"))), inject=False).ok
    said = refused(host, ProcessKill(pattern="watchdog.sh"))
    assert said.count("is Stormdesk itself") == 2, said
    assert host.revert().ok
    assert host.clear().ok
    host.sandbox.sh(f"kill {pid}")


def test_case_C15_a_pid_that_ends_between_plan_and_inject_is_refused(host: Rig) -> None:
    pid = started(host, "sleep 543")
    plan = host.plan(ProcessKill(pattern="sleep 543"))
    host.sandbox.sh(f"kill -9 {pid}; sleep 0.2")
    done = host.arm(plan)
    assert "refused the witness would prove nothing" in done.stdout
    assert f"{plan.change.steps[0].do[2]} has ended" in done.stdout
    assert host.revert().ok
    assert host.clear().ok


def test_case_C15_a_pid_that_ends_between_baseline_and_signal_is_no_evidence(host: Rig) -> None:
    pid = started(host, "sleep 543")
    plan = host.plan(ProcessKill(pattern="sleep 543"))
    host.scripts = {**host.scripts}
    was = host.scripts["verbs/process.sh"]
    host.scripts["verbs/process.sh"] = was.replace("sd_kill() {\n", f"sd_kill() {{\n  kill -9 {pid}; sleep 0.2\n")
    done = host.arm(plan)
    host.scripts["verbs/process.sh"] = was
    assert states(done)[-1] == "UNWITNESSED", done.stdout
    assert "no signal was sent" in done.stdout
    assert host.revert().ok
    assert host.clear().ok


def test_what_somebody_else_has_stopped_is_not_ours_to_stop_and_continue(host: Rig) -> None:
    pid = started(host, "sleep 543")
    plan = host.plan(ProcessKill(pattern="sleep 543", signal=Signal("STOP")))
    host.sandbox.sh(f"kill -STOP {pid}")
    assert "is already stopped" in host.arm(plan).stdout
    assert host.revert().ok
    assert host.clear().ok
    assert "T" in host.sandbox.sh(f"ps -o stat= -p {pid}; kill -9 {pid}")


@pytest.mark.parametrize("name", ["HUP", "USR1"])
def test_a_signal_that_a_daemon_handles_is_witnessed_by_its_note(host: Rig, name: str) -> None:
    pid = started(host, f"sh -c 'trap \"touch /tmp/got.{name}\" {name}; while :; do sleep 0.1; done' daemon")
    done = host.arm(host.plan(ProcessKill(pattern="daemon", signal=Signal(name))))
    assert states(done) == CONFIRMED, done.stdout
    eventually(f"test -e /tmp/got.{name}", host.sandbox, 5)
    assert host.sandbox.script(f"kill -0 {pid}").ok
    assert host.revert().ok
    assert host.clear().ok
    host.sandbox.sh(f"kill -9 {pid}")


def test_process_kill_never_selects_what_carries_us(host: Rig) -> None:
    """sshd, pid 1, supervisord, container engines, watchdogs and our own session are no targets."""
    carriers = ("sshd", "dockerd", "containerd")
    for name in carriers:
        host.sandbox.sh(f"mkdir -p /tmp/bin; cp /bin/bash /tmp/bin/{name}")
        run = f"/tmp/bin/{name} -c 'while :; do sleep 1; done' carrier"
        host.sandbox.sh(f"setsid {run} </dev/null >/dev/null 2>&1 &")
    host.sandbox.sh("echo 'import time; time.sleep(99)' >/tmp/bin/supervisord")
    host.sandbox.sh("setsid python3 /tmp/bin/supervisord carrier </dev/null >/dev/null 2>&1 &")
    host.sandbox.sh("setsid sh -c 'while :; do sleep 1; done' dog-carrier </dev/null >/dev/null 2>&1 &")
    # The record of a run says which process is its watchdog.
    host.sandbox.sh(
        "sleep 0.5; dog=$(pgrep -f dog-carrier | head -n 1); mkdir -p /run/stormdesk/r-1; "
        "echo $dog.$(cut -d' ' -f22 /proc/$dog/stat) >/run/stormdesk/r-1/watch.a"
    )
    assert host.sandbox.sh("pgrep -fc carrier").strip() == str(len(carriers) + 2)
    for what in ("carrier", "cat", "sh -s"):
        fault = ProcessKill(pattern=what)
        with pytest.raises(RefusedError, match="selects 0 processes"):
            fault.plan(host.facts(fault), host.site(), None)
    host.sandbox.sh("pkill -9 -f carrier; rm -r /run/stormdesk/r-1")


@pytest.fixture(scope="module", params=SHELLS)
def managed(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A host with supervisord and with a systemctl: both have a trader."""
    require("supervisord", "supervisorctl")
    with rig(request.param) as one:
        one.sandbox.sh(SUPERVISOR)
        eventually("pgrep -f 'sleep 1000'", one.sandbox, 20)
        yield one


def named(host: Rig, manager: str) -> None:
    host.host = msgspec.structs.replace(host.host, services={"trader": ServiceEntry(user="nobody", manager=manager)})


def test_supervisord_is_asked_by_its_socket_what_supervisorctl_asks_it(managed: Rig) -> None:
    """Both say the same of what runs and of what is stopped; where supervisorctl would ask elsewhere, it is left to that."""
    conf, asking = "/etc/supervisord.conf", probe("supervised")[2]
    for state in ("STOPPED", "RUNNING"):
        managed.sandbox.sh(f"supervisorctl {'stop' if state == 'STOPPED' else 'start'} trader")
        said = [line.split()[:2] for line in managed.sandbox.script("supervisorctl status").stdout.splitlines()]
        assert [line.split() for line in managed.sandbox.sh(asking).splitlines()] == said
        assert ["trader", state] in said
    managed.sandbox.sh(f"sed -i.kept '/^serverurl/s|=.*|=http://127.0.0.1:9001|' {conf}")
    assert managed.sandbox.script(asking).code == 1
    managed.sandbox.sh(f"mv {conf}.kept {conf}")


def test_case_C08_every_process_that_was_stopped_is_continued(managed: Rig) -> None:
    named(managed, "supervisor")
    done = managed.arm(managed.plan(ProcessKill(service="trader", signal=Signal("STOP"), repeat=Duration(1)), ttl_s=60))
    assert states(done) == CONFIRMED, done.stdout
    managed.sandbox.sh("kill -9 $(pgrep -f 'sleep 1000')")  # as a guard does with a process that hangs
    eventually("ps -o stat= -p $(pgrep -f 'sleep 1000') | grep -q T", managed.sandbox, 15)
    new = managed.sandbox.sh("pgrep -f 'sleep 1000'").strip()
    done = managed.revert(patience_s=15)
    assert states(done)[-1] == "REVERTED", done.stdout
    assert f"signal=CONT target={new}." in done.stdout
    assert "T" not in managed.sandbox.sh(f"ps -o stat= -p {new}")
    assert managed.clear().ok


def test_a_manager_that_does_not_answer_is_not_one_that_runs_nothing(managed: Rig) -> None:
    named(managed, "supervisor")
    managed.sandbox.sh("kill -STOP $(cat /run/supervisord.pid)")
    try:
        assert "supervisor did not answer within 10 s" in refused(managed, ProcessKill(service="trader"))
    finally:
        managed.sandbox.sh("kill -CONT $(cat /run/supervisord.pid)")


def test_case_C18_and_C2B_the_manager_that_the_inventory_names_is_asked(managed: Rig) -> None:
    managed.sandbox.sh(SYSTEMCTL)
    other = managed.sandbox.sh("pgrep -f 'sleep 1000'").strip()
    unit = managed.sandbox.sh("cat /tmp/unit.pid").strip()
    named(managed, "systemd")
    fault = ProcessKill(service="trader", rto=Duration(1))
    plan = managed.plan(fault, ttl_s=60)
    assert plan.change.steps[0].do[2].split(".")[0] == unit
    assert plan.change.steps[0].undo == (("sd_service_back", "trader", "1", "systemd"),)
    managed.sandbox.sh("touch /run/start-limit-hit")
    done = managed.arm(plan)
    assert states(done) == CONFIRMED, done.stdout
    done = managed.revert(patience_s=15)
    assert states(done)[-1] == "REVERTED", done.stdout
    asked = managed.sandbox.sh("cat /tmp/asked").splitlines()
    assert asked.index("reset-failed trader") < len(asked) - asked[::-1].index("start trader") - 1
    assert managed.sandbox.sh("pgrep -f 'sleep 1000'").strip() == other
    assert managed.clear().ok
    named(managed, "supervisor")
    assert target(managed, ProcessKill(service="trader")) == other
    # Where the inventory names neither, it is the one that runs it; and the undo asks that one too.
    managed.sandbox.sh("supervisorctl stop trader")
    named(managed, "init")
    plan = managed.plan(ProcessKill(service="trader"))
    assert plan.change.steps[0].undo[-1][-1] == "systemd"
