"""Every fault against its case files, and the contract that all of them keep. No host is involved.

A case is `tests/cases/<fault>/<name>.json`: {params, facts, plan | error}, and where it matters {host, hold_s, ttl_s, shell}.
`plan` lists what differs from the defaults of Plan; all of it is compared. `error` is [class, whole message].
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stormdesk.core import errors
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.core.model import Completed, Fault, HostFacts, Identity, Plan, Site, Unsupported
from stormdesk.core.shell import plan_script
from stormdesk.faults import FAULTS
from stormdesk.host.render import arm
from stormdesk.host.scripts import host_scripts

CASES = Path(__file__).parents[1] / "cases"
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
    tools, control = frozenset(facts.get("tools", FACTS.tools)), facts.get("control", "")
    host = dataclasses.replace(FACTS, tools=tools, control=control, answers=answers)
    plan = fault.plan(host, site, case.get("ttl_s"))
    if isinstance(plan, Unsupported):
        raise errors.RefusedError(plan.reason)
    return plan


def arm_script(plan: Plan) -> str:
    """What would be sent to the host."""
    return arm(host_scripts(), plan, FACTS, inject=True, allow_no_boot_hook=False, not_after_s=1000.0)


def load(path: Path) -> tuple[str, dict[str, Any]]:
    return path.parent.name, json.loads(path.read_text())


def expected(case: Mapping[str, Any], fault: str) -> dict[str, Any]:
    """The whole plan that a case expects: what it lists, over the defaults."""
    fields = dataclasses.fields(Plan)
    defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    fixed = {"fault": fault, "run_id": RUN_ID, "host": "trader-a", "hold_s": case.get("hold_s", 20.0)}
    plan: dict[str, Any] = json.loads(msgspec.json.encode({**defaults, **fixed, **case["plan"]}))
    return plan


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path) -> None:
    fault, case = load(path)
    if "error" in case:
        kind, message = case["error"]
        with pytest.raises(getattr(errors, kind)) as caught:
            planned(case, fault)
        assert str(caught.value) == message
        assert message.isprintable()
        return
    plan = planned(case, fault)
    assert json.loads(msgspec.json.encode(plan)) == expected(case, fault)
    script = plan_script(plan)
    for line in case.get("shell", []):
        assert line in script.splitlines()


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_has_cases_of_each_sort(fault: str) -> None:
    cases = {path.stem: load(path)[1] for path in FILES if path.parent.name == fault}
    assert [name for name, case in cases.items() if "plan" in case]
    assert [name for name, case in cases.items() if case.get("error", [""])[0] == "RefusedError"]
    quoted = [case for name, case in cases.items() if name.startswith("needs_quotes") and "plan" in case]
    assert quoted
    assert all("'" in line for case in quoted for line in case["shell"])


# ---- the contract: what every plan of every fault keeps ------------------------------------------------------------

PLANS = [path for path in FILES if "plan" in load(path)[1]]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_plan_keeps_the_contract(path: Path) -> None:
    fault, case = load(path)
    plan = planned(case, fault)
    assert plan.steps
    assert plan.witness
    assert plan.resources
    assert plan.says.isprintable()
    assert plan.reverts_what.isprintable()
    for step in plan.steps:
        assert step.do
        assert step.undo or plan.irreversible
        assert all(isinstance(word, str) for argv in (step.do, *step.undo) for word in argv)
    assert plan.hold_s <= plan.ttl_s <= 1800
    assert plan.rto_from in ("lift", "inject")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_hash_of_a_plan_is_stable_and_sees_every_change(path: Path) -> None:
    fault, case = load(path)
    plan = planned(case, fault)
    assert plan.hash() == planned(case, fault).hash()
    other = "r-20270101-0000-zzzz"
    renamed = msgspec.json.decode(msgspec.json.encode(plan).replace(RUN_ID.encode(), other.encode()), type=Plan)
    assert renamed.hash() == plan.hash()
    assert dataclasses.replace(plan, ttl_s=plan.ttl_s + 1).hash() != plan.hash()
    assert dataclasses.replace(plan, steps=plan.steps[:-1]).hash() != plan.hash()


def test_every_script_is_good_shell() -> None:
    """In dash; tests/shell does the same in busybox ash."""
    for path in PLANS:
        fault, case = load(path)
        plan = planned(case, fault)
        for text in (plan_script(plan), arm_script(plan)):
            done = subprocess.run(["dash", "-n"], input=text, text=True, capture_output=True, timeout=10, check=False)
            assert (done.returncode, done.stderr) == (0, ""), path


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_catalogue_can_be_read_by_people(fault: str) -> None:
    kind = FAULTS[fault]
    assert kind.name == fault
    assert kind.title[0].isupper()
    assert kind.undo
    assert kind.needs
    for field in dataclasses.fields(typing.cast(Any, kind)):
        assert field.metadata.get("help"), field.name
        assert field.default is not dataclasses.MISSING


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_file_stays_small(fault: str) -> None:
    path = Path(__file__).parents[2] / "faults" / f"{fault.replace('-', '_')}.py"
    lines = [
        line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))
    ]
    assert len(lines) <= 110, f"{fault}: {len(lines)} lines"
