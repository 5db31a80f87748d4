"""Faults of processes, services and whole hosts where systemd is process 1: its units, its freezer, its log-in services."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import SHORT_VERIFY, trading
from tests.support.desk import Desk, eventually, sat_at

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]

SHOW = "for what in ActiveState NRestarts MainPID; do systemctl show -p $what --value prober; done"


@pytest.fixture(scope="module")
def desk(lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        trading(f"systemd-f-{os.getpid()}", "core", SHORT_VERIFY, "systemd") as name,
        sat_at(name, tmp_path_factory.mktemp("runs")) as desk,
    ):
        yield desk


def unit(desk: Desk) -> list[str]:
    """State, restarts by systemd, main pid of the prober."""
    return desk.sh("ops", SHOW).split()


def test_a_unit_is_stopped_and_started_by_systemd(desk: Desk) -> None:
    before = unit(desk)
    process = desk.start(
        "chaos.service-stop", "--host", "ops", "--service", "prober", "--for", "4s", "--allow-unsteady"
    )
    eventually(lambda: unit(desk)[0] == "inactive", 30)
    desk.end(process, 0)
    state, _, pid = unit(desk)
    assert (state, pid == before[2]) == ("active", False)


def test_a_stop_by_an_operator_in_the_hold_is_kept(desk: Desk) -> None:
    process = desk.start(
        "chaos.service-stop", "--host", "ops", "--service", "prober", "--for", "8s", "--allow-unsteady"
    )
    eventually(lambda: unit(desk)[0] == "inactive", 30)
    desk.sh("ops", "systemctl start prober; systemctl stop prober")
    process.communicate(timeout=150)
    assert unit(desk)[0] == "inactive"
    desk.sh("ops", "systemctl start prober")


def test_a_unit_whose_starts_fail_runs_in_the_end(desk: Desk) -> None:
    before = int(unit(desk)[1])
    desk.invoke("chaos.process-crashloop", "--host", "ops", "--service", "prober", "--starts", "2", "--for", "3s")
    state, restarts, _ = unit(desk)
    assert state == "active"
    assert int(restarts) >= before + 3


def test_a_unit_is_frozen_by_the_freezer_of_its_own_group(desk: Desk) -> None:
    where = "/sys/fs/cgroup/system.slice/prober.service/cgroup.freeze"
    process = desk.start(
        *("chaos.process-pause", "--host", "ops", "--service", "prober", "--mechanism", "freezer", "--for", "4s"),
        "--allow-unsteady",
    )
    eventually(lambda: desk.sh("ops", f"cat {where}") == "1", 30)
    desk.end(process, 0)
    assert desk.sh("ops", f"cat {where}") == "0"
    assert unit(desk)[0] == "active"


def test_a_host_that_stands_still_lets_people_log_in(desk: Desk) -> None:
    process = desk.start("chaos.host-freeze", "--host", "ops", "--for", "6s", "--allow-unsteady")
    desk.reached(desk.run_started_by(process), "S6.hold")  # a shell that asks at that moment is stopped too
    state = "ps -o stat= -p $(systemctl show -p MainPID --value prober) | cut -c1"
    assert desk.sh("ops", state) == "T"
    desk.end(process, 0)
    assert desk.sh("ops", state) != "T"
    assert desk.sh("ops", "systemctl is-system-running") == "running"
