"""A game day, and repeated checks on a healthy stack."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]


# ---- game days, repeated -------------------------------------------------------------------------------------------------


def test_the_network_cut_runbook_holds(desk: Desk) -> None:
    desk.invoke("gameday.run", "--runbook", "runbooks/network-cut-60s.md")


def test_idle_pictures_do_not_differ(desk: Desk, repeats: Callable[[int], int]) -> None:
    """The stack trades between two looks; nothing that is compared may move by itself."""
    from stormdesk.host import library
    from stormdesk.host.scripts import host_scripts

    look = library.core(host_scripts()) + "rec=/none\nSD_FILES=\nSD_RESOURCES=\nSD_SERVICES=\nsd_picture | sort\n"
    for host in desk.pool.inventory.hosts:
        first = desk.pool.script(host, f"( {look} ) </dev/null", 20).stdout
        assert len(first.splitlines()) > 100
        for _ in range(repeats(20)):
            time.sleep(0.2)
            assert desk.pool.script(host, f"( {look} ) </dev/null", 20).stdout == first


def test_checks_raise_no_alarm_on_a_healthy_stack(desk: Desk, repeats: Callable[..., int]) -> None:
    for _ in range(repeats(100, 3)):
        desk.invoke("check.all")
