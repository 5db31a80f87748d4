"""Case files of faults: reading, planning and rewriting them.

A case is `tests/cases/<fault>/<name>.json`: {params, facts, plan | error}, and where it matters {host, hold_s, ttl_s, shell}.
`plan` lists what differs from the defaults of Plan, group by group; all of it is compared. `error` is [class, whole message].
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from stormdesk.core import errors
from stormdesk.core.fault import Fault, Site, Unsupported
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.core.model import Completed, HostFacts, Identity
from stormdesk.core.plan import Change, Plan, PlanId, Proof, Timing
from stormdesk.faults import FAULTS
from stormdesk.host.render import arm
from stormdesk.host.scripts import host_scripts

CASES = Path(__file__).parent
FILES = sorted(path for name in FAULTS for path in (CASES / name).glob("*.json"))
RUN_ID = "r-20261121-0312-k3f9"
INVENTORY = {
    "trader-a": {
        "role": "trader",
        "address": "10.77.0.13",
        "networks": {
            "mgmt": {"interface": "eth0", "address": "10.77.0.13/24", "address6": "fd77::13/64"},
            "market": {"interface": "eth1", "address": "10.77.1.13/24", "address6": "fd77:0:0:1::13/64"},
        },
        "services": {"trader": {"user": "trading", "manager": "supervisor", "ports": {"http": 8000}}},
        "paths": {"data": "/var/lib/trading"},
    },
    "venue": {
        "role": "venue",
        "address": "10.77.0.11",
        "networks": {
            "mgmt": {"interface": "eth0", "address": "10.77.0.11/24"},
            "market": {"interface": "eth1", "address": "10.77.1.11/24"},
        },
    },
}


def inventory(changes: Mapping[str, Any]) -> Inventory:
    """The inventory of the cases, trader-a changed as a case says."""
    hosts = {name: {**entry, **(changes if name == "trader-a" else {})} for name, entry in INVENTORY.items()}
    common = {"host_key": "ssh-ed25519 AAAA", "identity_file": "/key"}
    entries = {name: msgspec.convert({"name": name, **common, **entry}, InventoryHost) for name, entry in hosts.items()}
    return Inventory(version=VERSION, environment="demo", hosts=entries)


FACTS = HostFacts(
    host="trader-a",
    identity=Identity("b", "p"),
    uid=0,
    marker={},
    marker_text="{}",
    production=False,
    halted=False,
    boot_hook=True,
    tools=frozenset({"ip", "fallocate", "dd"}),
    active=0,
)


def make(name: str, params: Mapping[str, str]) -> Fault:
    """A fault from what people type."""
    kind = FAULTS[name]
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    values = {key: fields[key].metadata.get("kind", hints[key])(text) for key, text in params.items()}
    return kind(**values)


def planned(case: Mapping[str, Any], fault_name: str) -> Plan:
    """Plan a case. Raises what the fault raises; Unsupported is raised as a RefusedError, as the engine does."""
    fault = make(fault_name, case["params"])
    known = inventory(case.get("host", {}))
    site = Site(RUN_ID, known.hosts["trader-a"], known, case.get("hold_s", 20.0))
    probes = fault.probes(site)
    facts = case.get("facts", {})
    answers = {}
    for name, argv in probes.items():
        said = facts[name]
        code, text = (0, said) if isinstance(said, str) else (said["code"], said.get("stdout", ""))
        answers[name] = Completed(argv, code, text)
    host = dataclasses.replace(FACTS, tools=frozenset(facts.get("tools", FACTS.tools)), answers=answers)
    plan = fault.plan(host, site, case.get("ttl_s"))
    if isinstance(plan, Unsupported):
        raise errors.RefusedError(plan.reason)
    return plan


def changed(plan: Plan, **fields: Any) -> Plan:
    """The plan with other values of these fields, whichever group they are in."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        home = next(group.name for group in dataclasses.fields(Plan) if hasattr(getattr(plan, group.name), name))
        groups.setdefault(home, {})[name] = value
    some = {home: dataclasses.replace(getattr(plan, home), **values) for home, values in groups.items()}
    return dataclasses.replace(plan, **some)


def a_plan(**fields: Any) -> Plan:
    """A plan that does nothing, with these fields."""
    return changed(
        Plan(
            id=PlanId("disk-full", RUN_ID, "trader-a"),
            timing=Timing(20.0, 35.0),
            change=Change(
                mechanism="dd", says="write it full", reverts_what="unlink", steps=(), resources=("disk:/x",)
            ),
            proof=Proof(witness=("true",)),
        ),
        **fields,
    )


def arm_script(plan: Plan) -> str:
    """What would be sent to the host."""
    return arm(host_scripts(), plan, FACTS, inject=True, allow_no_boot_hook=False, not_after_s=1000.0)


def load(path: Path) -> tuple[str, dict[str, Any]]:
    return path.parent.name, json.loads(path.read_text())


def differences(plan: Plan) -> dict[str, Any]:
    """The plan as a case lists it: what differs from the defaults, group by group; the id and the hold are the case's own."""
    groups: dict[str, dict[str, Any]] = {}
    for group in dataclasses.fields(Plan):
        value = getattr(plan, group.name)
        listed = {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if field.default is dataclasses.MISSING or getattr(value, field.name) != field.default
        }
        if group.name == "timing":
            del listed["hold_s"]
        if listed and group.name != "id":
            groups[group.name] = listed
    plain: dict[str, Any] = json.loads(msgspec.json.encode(groups))
    return plain


PLANS = [path for path in FILES if "plan" in load(path)[1]]
