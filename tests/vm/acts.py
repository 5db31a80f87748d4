"""What happens while a fault is in. Each act gets the machine and the controller's process, once the fault was seen."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.vm.machine import Machine

Act = Callable[[Machine, "subprocess.Popen[str]"], None]

# A ban and a route, which are to stay.
OPERATOR = "iptables -I INPUT -s 192.0.2.66 -j DROP; ip route add 203.0.113.0/24 dev lo"


def typed(script: str) -> Act:
    """Somebody else types this as root."""

    def act(machine: Machine, _: subprocess.Popen[str]) -> None:
        machine.sh(script)

    return act


def colleague(machine: Machine, _: subprocess.Popen[str]) -> None:
    """Somebody logs in, looks at something, and logs out."""
    subprocess.run((*machine.ssh("colleague", shared=False), "uptime"), check=True, capture_output=True, timeout=300)


def kill_controller(machine: Machine, controller: subprocess.Popen[str]) -> None:
    """kill -9: the machine's own watchdog must revert."""
    controller.kill()
    controller.wait(10)


def reboot(machine: Machine, controller: subprocess.Popen[str]) -> None:
    """The controller dies, then the machine restarts in an orderly way: only its boot hook can undo anything."""
    kill_controller(machine, controller)
    machine.sh("systemctl reboot", check=False, within_s=30)
    machine.restarted()


def reset(machine: Machine, controller: subprocess.Popen[str]) -> None:
    """The controller dies, then the power fails."""
    kill_controller(machine, controller)
    machine.reset()
    machine.restarted()
