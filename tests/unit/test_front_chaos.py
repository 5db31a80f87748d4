"""From flags to a fault and its hosts."""

from __future__ import annotations

import re

import pytest

from stormdesk.cli import fault_flags
from stormdesk.cli.abilities import Abilities
from stormdesk.core.errors import UsageError
from stormdesk.core.safety import Allow
from stormdesk.core.values import Duration, Percent, Share, Signal
from stormdesk.faults import FAULTS
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.run.abilities import Ability
from tests.cases.planning import PLANS, load


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_flags_with_help_and_its_defaults_make_a_fault(name: str) -> None:
    fault = FAULTS[name]
    parameters = dict(fault_flags.signature(fault).parameters)
    parameters.pop("context")
    assert set(fault_flags.helps(fault)) == set(parameters)
    assert all(fault_flags.helps(fault).values())
    assert fault_flags.fault_of(fault, {key: value.default for key, value in parameters.items()}) == fault()


def test_flags_become_the_fault_and_what_is_allowed() -> None:
    values = {"percent": Percent(90), "size": None, "reserve": None, "path": "/data", "mechanism": "", "for_": None}
    assert fault_flags.fault_of(DiskFull, values) == DiskFull(percent=Percent(90), path="/data")
    flags = {"irreversible": True, "role_share": Share(50), "hosts": None, "unsteady": False, "no_boot_hook": False}
    allowed = fault_flags.allow_of({f"allow_{name}": value for name, value in flags.items()})
    assert allowed == Allow(irreversible=True, role_share=50)


def test_kinds_come_from_the_default_or_from_the_catalogue() -> None:
    assert fault_flags.kinds(ProcessKill)["repeat"] is Duration
    assert fault_flags.kinds(ProcessKill)["ttl"] is Duration
    assert isinstance(fault_flags.signature(ProcessKill).parameters["signal"].default, Signal)


@pytest.mark.parametrize(("hold_s", "ttl_s"), [(30.0, None), (30.0, 30.0), (30.0, 45.0)])
def test_a_ttl_that_some_plan_may_take_passes(hold_s: float, ttl_s: float | None) -> None:
    fault_flags.check_ttl(hold_s, ttl_s)


def test_a_ttl_below_the_hold_is_refused_with_the_one_to_type() -> None:
    with pytest.raises(UsageError, match=r"--ttl 29s: must be at least --for 30s \+ 5s.*e\.g\. --ttl 45s"):
        fault_flags.check_ttl(30, 29)


def test_the_catalogue_names_every_fault_with_its_undo() -> None:
    catalogue = fault_flags.Catalogue(FAULTS)
    text = "\n".join(catalogue.lines)
    assert all(name in text and fault.undo in text for name, fault in FAULTS.items())
    assert "--percent PERCENT" in text
    faults = catalogue.as_json()["faults"]
    assert isinstance(faults, list)
    assert [fault["fault"] for fault in faults] == list(FAULTS)


def test_the_catalogue_says_what_one_should_know_before_the_first_try() -> None:
    text = "\n".join(fault_flags.Catalogue(FAULTS).lines)
    of = {part.split()[0]: part for part in re.split(r"\n(?=\S)", text)}
    assert "how full, as a share of what users can allocate: 1..100 (default: 100)" in of["disk-full"]
    assert "default: the first that the host has (default" not in text
    assert "uses, by mechanism: fallocate" in of["disk-full"]
    cuts = {name for name, part in of.items() if "may cut our own SSH" in part}
    assert cuts == {name for name, fault in FAULTS.items() if fault.may_cut_control} != set()
    never = {name for name, part in of.items() if "--allow-irreversible" in part}
    plans = [(name, case["plan"]["change"]) for name, case in map(load, PLANS)]
    assert never == {name for name, change in plans if change.get("irreversible")}
    always = {name for name in never if all(change.get("irreversible") for of_case, change in plans if of_case == name)}
    assert always == {name for name in never if "--allow-irreversible: always" in of[name]}


def test_what_a_host_can_do_is_said_with_the_command_that_was_planned() -> None:
    netem = ("netem", "the kernel has no sch_netem")
    can = Ability(
        "net-loss", "nfqueue", (netem,), parameters={"peer": "venue"}, undo="rules removed", cuts_control=True
    )
    never = Ability(
        "power-cut",
        "perl",
        irreversible=True,
        undo="none",
        unless="it cannot be undone: it is lost.   --allow-irreversible",
    )
    cannot = Ability("ntp-block", why_not="it asks no time server", parameters={})
    untried = Ability("noop", untried="noop needs --service")
    found = Abilities("trader-a", [can, never, cannot, untried])
    assert list(found.lines) == [
        "net-loss   by nfqueue",
        "             not by netem: the kernel has no sch_netem",
        "             undo: rules removed",
        "             cuts our own SSH: the host ends it by itself",
        "             tried: invoke chaos.net-loss --host trader-a --peer venue",
        "power-cut  by perl",
        "             undo: none",
        "             only with --allow-irreversible: it cannot be undone: it is lost.",
        "             tried: invoke chaos.power-cut --host trader-a",
        "ntp-block  no: it asks no time server",
        "noop       not tried: noop needs --service",
    ]
    halted = Abilities("trader-a", [can], "trader-a is halted")
    assert halted.lines[0] == "every fault is refused on it now: trader-a is halted"
    assert halted.as_json()["refused"] == "trader-a is halted"
