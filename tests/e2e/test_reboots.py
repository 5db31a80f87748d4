"""host-reboot on lab hosts: a real restart, found by the boot hook; what was in volatile memory is gone, and the run is held."""

from __future__ import annotations

import pytest

from tests.support.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]

BOOT = "cat /proc/sys/kernel/random/boot_id; ls /run/only-until-the-restart 2>/dev/null; test ! -e /etc/stormdesk/boot; echo $?"


def test_a_host_restarts_and_its_boot_hook_reports_it(desk: Desk) -> None:
    desk.sh("trader-b", "touch /run/only-until-the-restart")
    before = desk.sh("trader-b", BOOT).split()
    done = desk.invoke("chaos.host-reboot", "--host", "trader-b", "--for", "15s")
    after = desk.sh("trader-b", BOOT).split()
    assert before[0] != after[0]
    assert before[1:] == ["/run/only-until-the-restart", "0"]
    assert after[1:] == ["0"]  # nothing volatile, and no boot hook any more
    assert (done["verdict"], done["residue"]) == ("held", "clean")
