"""What happens on a host while its fault is held: an operator at work, a fault that somebody ends, watchdogs that die."""

from __future__ import annotations

import pytest

from tests.support.desk import Desk, events

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]

WORK = """
iptables -I INPUT -s 192.0.2.66 -j DROP
ip route add 192.0.2.0/24 dev lo
ip addr add 192.0.2.9/32 dev lo
mkdir -p /run/user/1000 /srv/theirs; mount -t tmpfs tmpfs /run/user/1000; mount -t tmpfs tmpfs /srv/theirs
sed -i '$a192.0.2.7 colleague' /etc/hosts
iptables -t mangle -A INPUT -s 192.0.2.8 -j DROP; iptables -t mangle -D INPUT -s 192.0.2.8 -j DROP
"""
KEPT = """
iptables -C INPUT -s 192.0.2.66 -j DROP && ip route show 192.0.2.0/24 | grep -c lo && ip addr show dev lo | grep -c 192.0.2.9/32 &&
grep -c ' /srv/theirs ' /proc/mounts && grep -c ' /run/user/1000 ' /proc/mounts && grep -c colleague /etc/hosts
"""
GONE = """
iptables -D INPUT -s 192.0.2.66 -j DROP; ip addr del 192.0.2.9/32 dev lo; ip route del 192.0.2.0/24 dev lo
umount /run/user/1000 /srv/theirs; sed -i '/colleague/d' /etc/hosts; true
"""


def test_case_C10_and_C26_what_an_operator_does_in_the_hold_is_kept_and_named(desk: Desk) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--percent", "60", "--for", "6s", "--allow-unsteady")
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    desk.sh("ops", WORK)
    try:
        done = desk.end(process, 0)
        assert (done["verdict"], done["residue"]) == ("held", "clean")
        assert "changes by others, kept (verified)" in done["stderr"]
        assert desk.sh("ops", KEPT).split() == ["1"] * 5
    finally:
        desk.sh("ops", GONE)
    (verified,) = [event for event in events(desk, run) if event["event"] == "S8.verified"]
    assert (verified["diff"], verified["side_effects"]) == ([], [])
    others = "\n".join(verified["others"])
    assert all(
        mark in others for mark in ("192.0.2.66", "192.0.2.0/24 dev lo", "192.0.2.9/32", "/srv/theirs", "/etc/hosts")
    )
    assert "mangle" not in others
    assert "/run/user" not in others
    assert all("/.stormdesk-" in line for line in verified["ours"])
    assert len(verified["back"]) == len(verified["ours"]) == 2
    page = (desk.runs / run / "report.html").read_text()
    assert "Changed by the fault" in page
    assert "Changed by others meanwhile, and kept" in page
    assert "192.0.2.0/24 dev lo" in page


def test_case_C11_a_fault_that_somebody_ends_is_not_held(desk: Desk) -> None:
    process = desk.start(
        "chaos.adapter-down", "--host", "trader-b", "--network", "market", "--for", "14s", "--allow-unsteady"
    )
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    desk.sh("trader-b", "sleep 6; ip link set eth1 up")
    done = desk.end(process, 5)
    assert (done["verdict"], done["residue"]) == ("unknown", "clean")
    last = float(done["why"].partition("somebody else ended the fault; last seen ")[2].partition(" s")[0])
    assert 1 < last < 8


def test_case_C27_watchdogs_that_die_in_the_hold_are_noticed(desk: Desk) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--percent", "60", "--for", "60s", "--allow-unsteady")
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    desk.sh("ops", "pkill -STOP -f '[w]atchdog.sh'; pkill -KILL -f '[w]atchdog.sh'; true")
    done = desk.end(process, 5, 60)  # no hold of a minute
    assert (done["verdict"], done["residue"]) == ("unknown", "clean")
    assert "none of its watchdogs was alive" in done["why"]
    assert "S6.unguarded" in [event["event"] for event in events(desk, run)]
    assert desk.sh("ops", "ls -A /var/lib/trading | grep stormdesk") == ""
