"""The steady state: holds before a fault, and again after it."""

from __future__ import annotations

from typing import Any

import pytest

from stormdesk.checks.plugin import Evidence, Judged
from stormdesk.core.errors import StormdeskError
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import steady

pytestmark = pytest.mark.steady_state


def test_services(live: Evidence, where: str, judged: Judged) -> None:
    """supervisord runs every service that it should run on the host."""
    assert live.inventory is not None
    if not any(entry.manager == "supervisor" for entry in live.inventory.hosts[where].services.values()):
        pytest.skip(f"no service on {where} that supervisord runs")
    states = live.services.get(where, {})
    if isinstance(states, StormdeskError):
        return judged(CheckResult(f"services {where}", Verdict.UNKNOWN, str(states)))
    stopped = sorted(name for name, runs in states.items() if not runs)
    verdict = Verdict.VIOLATED if stopped else Verdict.HELD if states else Verdict.UNKNOWN
    why = f"not running: {', '.join(stopped)}" if stopped else f"running: {', '.join(sorted(states)) or 'none asked'}"
    return judged(CheckResult(f"services {where}", verdict, why, sources={"services": len(states)}))


def test_ports(live: Evidence, where: str, judged: Judged) -> None:
    """Every port that the inventory names is listened on."""
    assert live.inventory is not None
    assert live.hosts is not None
    services = live.inventory.hosts[where].services
    wanted = {port: f"{name} {port}" for name, entry in services.items() for port in entry.ports.values()}
    if not wanted:
        pytest.skip(f"no port of {where} in the inventory")
    host: Any = live.hosts[where]  # testinfra's modules have no type hints
    try:
        sockets = host.socket.get_listening_sockets()
    except StormdeskError as error:
        return judged(CheckResult(f"ports {where}", Verdict.UNKNOWN, str(error)))
    heard = {int(spec.rpartition(":")[2]) for spec in sockets if spec.startswith("tcp://")}
    silent = [name for port, name in wanted.items() if port not in heard]
    verdict = Verdict.VIOLATED if silent else Verdict.HELD if wanted and heard else Verdict.UNKNOWN
    why = f"nobody listens: {', '.join(silent)}" if silent else f"listening: {', '.join(wanted.values())}"
    return judged(CheckResult(f"ports {where}", verdict, why, sources={"ports": len(wanted), "sockets": len(heard)}))


def test_http(live: Evidence, traders: list[str], judged: Judged) -> None:
    judged(steady.http(live.vitals, traders))


def test_code(live: Evidence, traders: list[str], judged: Judged) -> None:
    judged(steady.code(live.vitals, traders))


def test_leader(live: Evidence, traders: list[str], judged: Judged) -> None:
    judged(steady.leader(live.vitals, traders))


def test_orders_flow(live: Evidence, traders: list[str], judged: Judged) -> None:
    judged(steady.flow(live.vitals, traders))


def test_stream(live: Evidence, traders: list[str], judged: Judged) -> None:
    judged(steady.stream(live.vitals, traders))


def test_guards(live: Evidence, judged: Judged) -> None:
    assert live.inventory is not None
    asked = [name for name, host in live.inventory.hosts.items() if "guard" in host.services]
    if not asked:
        pytest.skip("no guard in the inventory")
    judged(steady.guards(live.vitals, asked))


def test_disk(live: Evidence, judged: Judged) -> None:
    assert live.inventory is not None
    asked = [name for name, host in live.inventory.hosts.items() if "data" in host.paths]
    if not asked:
        pytest.skip("no host has a data folder in the inventory")
    judged(steady.disk(live.vitals, asked))
