"""Reads the vitals of all hosts at once, one round trip each, for the judges of the steady state (stormdesk/evidence/steady.py)."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.evidence import steady
from stormdesk.evidence.steady import Vitals
from stormdesk.host.scripts import probe
from stormdesk.ssh.parallel import READ_S, Run, each


def gather(run: Run, inventory: Inventory) -> Mapping[str, Vitals]:
    """What each host said; a host that does not answer is left out."""

    def one(name: str) -> Vitals:
        host = inventory.hosts[name]
        done = run(name, probe("vitals", host.paths.get("data", ""), _base(host), _guard(host)), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        return steady.parse(name, done.stdout)

    answers = each(inventory.hosts, one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}


def _base(host: InventoryHost) -> str:
    service = host.services.get("trader")
    return f"http://127.0.0.1:{service.ports['http']}" if service and "http" in service.ports else ""


def _guard(host: InventoryHost) -> str:
    """Where the host's guard tells how it is; "" when there is none."""
    return f"{host.paths['data']}/guard/health_v2.json" if "guard" in host.services and "data" in host.paths else ""
