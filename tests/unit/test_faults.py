"""Every fault against its case files (tests/cases/planning.py), and the contract of all faults. No host is involved."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stormdesk.core import errors
from stormdesk.core.fault import Fault
from stormdesk.core.plan import Plan
from stormdesk.core.shell import plan_script
from stormdesk.faults import FAULTS
from tests.cases.planning import FILES, PLANS, RUN_ID, arm_script, changed, differences, load, planned

REFUSALS = ("RefusedError", "LackingError")  # the second says that a host lacks what it takes


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
    assert differences(plan) == case["plan"]
    assert (plan.id.fault, plan.id.run_id, plan.id.host) == (fault, RUN_ID, "trader-a")
    assert plan.timing.hold_s == case.get("hold_s", 20.0)
    script = plan_script(plan)
    for line in case.get("shell", []):
        assert line in script.splitlines()


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_has_cases_of_each_sort(fault: str) -> None:
    cases = {path.stem: load(path)[1] for path in FILES if path.parent.name == fault}
    assert [name for name, case in cases.items() if "plan" in case]
    assert [name for name, case in cases.items() if case.get("error", [""])[0] in REFUSALS]
    if not _texts(FAULTS[fault]):
        return  # nobody types anything that could need quotes
    quoted = [case for name, case in cases.items() if name.startswith("needs_quotes") and "plan" in case]
    assert quoted
    assert all("'" in line for case in quoted for line in case["shell"])


def _texts(kind: type[Fault]) -> set[str]:
    """The parameters that are any text; a mechanism, and how, is one of a few words."""
    hints = typing.get_type_hints(kind)
    return {field.name for field in dataclasses.fields(typing.cast(Any, kind)) if hints[field.name] is str} - {
        "mechanism",
        "how",
    }


# ---- the contract: what every plan of every fault keeps ------------------------------------------------------------


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_plan_keeps_the_contract(path: Path) -> None:
    fault, case = load(path)
    plan = planned(case, fault)
    assert plan.change.steps
    assert plan.proof.witness
    assert plan.change.resources
    assert plan.change.says.isprintable()
    assert plan.change.reverts_what.isprintable()
    for step in plan.change.steps:
        assert step.do
        assert step.undo or plan.change.irreversible
        assert all(isinstance(word, str) for argv in (step.do, *step.undo) for word in argv)
    assert plan.timing.hold_s <= plan.timing.ttl_s <= 1800
    assert plan.effects.rto_from in ("lift", "inject")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_hash_of_a_plan_is_stable_and_sees_every_change(path: Path) -> None:
    fault, case = load(path)
    plan = planned(case, fault)
    assert plan.hash() == planned(case, fault).hash()
    other = "r-20270101-0000-zzzz"
    renamed = msgspec.json.decode(msgspec.json.encode(plan).replace(RUN_ID.encode(), other.encode()), type=Plan)
    assert renamed.hash() == plan.hash()
    assert changed(plan, ttl_s=plan.timing.ttl_s + 1).hash() != plan.hash()
    assert changed(plan, steps=plan.change.steps[:-1]).hash() != plan.hash()


def test_every_script_is_valid_shell() -> None:
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
    path = Path(str(inspect.getsourcefile(FAULTS[fault])))
    assert path.stem == fault.replace("-", "_")
    lines = [
        line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))
    ]
    assert len(lines) <= 125, f"{fault}: {len(lines)} lines"
