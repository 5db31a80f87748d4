"""Several reverters of one run: the late ones end, because the host may have another run's fault by then."""

from __future__ import annotations

import threading

from stormdesk.core.model import Completed
from stormdesk.faults.net.adapter_down import AdapterDown
from tests.shell.rig import CONFIRMED, Rig, beside, picture, same, states
from tests.shell.sandbox import eventually

REC = "/run/stormdesk/r-20261121-0312-k3f9"


@beside
def test_a_late_reverter_leaves_the_next_run_alone(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(AdapterDown(interface="eth1"), ttl_s=60))) == CONFIRMED
    host.sandbox.sh("ip addr add 10.9.1.77/24 dev lo")  # nobody can verify the revert as long as this is there
    late: list[Completed] = []
    reverter = threading.Thread(target=lambda: late.append(host.revert(patience_s=30)))
    reverter.start()
    eventually("grep -q REVERTING " + REC + "/record", host.sandbox, 5)
    text = host.sandbox.sh(f"cat {REC}/record")
    host.sandbox.sh(f"kill -STOP $(pgrep -of {REC}/revert.sh); ip addr del 10.9.1.77/24 dev lo")
    assert host.revert(patience_s=10).ok, text
    other = Rig(host.sandbox, run_id="r-20261121-0399-aaaa")
    armed = other.arm(other.plan(AdapterDown(interface="eth1"), ttl_s=60))
    assert states(armed) == CONFIRMED, armed
    host.sandbox.sh(f"kill -CONT $(pgrep -f {REC}/revert.sh)")
    reverter.join(20)
    assert not reverter.is_alive()
    assert host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "down\n"
    assert host.clear().ok
    assert other.revert().ok
    assert other.clear().ok
    same(before, host.sandbox)


@beside
def test_clear_ends_a_reverter_that_still_runs(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(AdapterDown(interface="eth1"), ttl_s=60))) == CONFIRMED
    host.sandbox.sh("ip addr add 10.9.1.77/24 dev lo")
    reverter = threading.Thread(target=lambda: host.revert(patience_s=30))
    reverter.start()
    eventually("grep -q REVERTING " + REC + "/record", host.sandbox, 5)
    host.sandbox.sh(f"kill -STOP $(pgrep -of {REC}/revert.sh); ip addr del 10.9.1.77/24 dev lo")
    assert host.revert(patience_s=10).ok
    assert host.clear().ok
    reverter.join(20)
    assert not reverter.is_alive()
    same(before, host.sandbox)


@beside
def test_who_reverts_second_does_not_take_the_first_ones_undo_for_somebody_elses(host: Rig) -> None:
    """Both began while the fault was in, as a watchdog and a controller do on a busy machine."""
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(AdapterDown(interface="eth1"), ttl_s=60))) == CONFIRMED
    slow = (
        f"rec={REC}; . $rec/lib.sh; . $rec/plan.sh; sd_base=${{rec%/*}}\n"
        "sd_fence() { until grep -q REVERTED $rec/record; do sleep 0.1; done; }\nsd_revert watchdog 30\n"
    )
    second = host.sandbox.start(slow)
    eventually("pgrep -f 'sleep 0.1'", host.sandbox, 5)
    assert host.revert(patience_s=10).ok
    said, wrong = second.communicate(timeout=20)
    assert (second.returncode, said, wrong) == (0, b"", b"")
    assert host.record().value("ended_early") == ""
    assert host.clear().ok
    same(before, host.sandbox)
