"""The venue's own faults as plans: the request, its undo and witness, and when they are refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from stormdesk.core import runbook
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Site
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.core.model import Completed
from stormdesk.core.plan import Plan
from stormdesk.desk import venue_faults
from stormdesk.host.render import arm
from stormdesk.testnet.venue import faults
from stormdesk.testnet.venue.faults.control import Asked
from tests.cases.planning import FACTS, RUN_ID, host_scripts
from tests.cases.planning import inventory as others

NAMES = sorted(faults.FAULTS)
LINKS = {"mgmt": {"interface": "eth0", "address": "10.77.0.11/24"}}
SERVICE = {"venue": {"user": "trading", "manager": "supervisor", "ports": {"http": 8080, "control": 8081}}}
COMMON = {"host_key": "ssh-ed25519 AAAA", "identity_file": "/key", "role": "venue", "address": "10.77.0.11"}
HOST = msgspec.convert({"name": "exchange", **COMMON, "networks": LINKS, "services": SERVICE}, InventoryHost)
STACK = Inventory(version=VERSION, environment="demo", hosts={"exchange": HOST})


def planned(name: str, *, answers: int = 0, run_id: str = RUN_ID, **params: Any) -> Plan:
    fault = venue_faults.runnable(name)(**params)
    site = Site(run_id, HOST, STACK, 20.0)
    (probe,) = fault.probes(site).values()
    facts = dataclasses.replace(FACTS, host="exchange", answers={"health": Completed(probe, answers, "")})
    plan = fault.plan(facts, site, None)
    assert isinstance(plan, Plan)
    return plan


def body(plan: Plan) -> Asked:
    do = plan.change.steps[0].do
    return msgspec.json.decode(do[do.index("-d") + 1], type=Asked)


@pytest.mark.parametrize("name", NAMES)
def test_the_request_is_valid_for_the_venue(name: str) -> None:
    plan = planned(name)
    asked = body(plan)
    assert faults.make(asked.name, asked.params) == faults.make(name, {})
    assert (asked.id, asked.for_s, asked.seed) == (RUN_ID, plan.timing.ttl_s, 0)
    assert plan.change.steps[0].do[-1] == "http://10.77.0.11:8081/faults"
    assert plan.change.steps[0].undo[0][-1] == plan.proof.witness[-1] == f"http://10.77.0.11:8081/faults/{RUN_ID}"
    assert plan.change.files == (f"/run/.stormdesk-venue-{RUN_ID}",)
    assert "curl" in arm(host_scripts(), plan, FACTS, inject=True, allow_no_boot_hook=False, not_after_s=1000.0)


def test_flags_and_seed_reach_the_venue() -> None:
    kind = {f.name: f for f in dataclasses.fields(faults.FAULTS["drop-response"])}  # type: ignore[arg-type]
    share = type(kind["share"].default)("75%")
    asked = body(planned("drop-response", share=share, seed=venue_faults.Seed(9)))
    assert (asked.params["share"], asked.seed) == ("75", 9)


def test_the_same_parameters_give_the_same_plan_in_another_run() -> None:
    assert planned("freeze").hash() == planned("freeze", run_id="r-20261121-0313-aaaa").hash()
    assert planned("freeze").hash() != planned("freeze", seed=venue_faults.Seed(1)).hash()


def test_a_venue_that_does_not_answer_refuses_the_run() -> None:
    with pytest.raises(RefusedError, match=r"the venue does not answer on http://10.77.0.11:8081. Nothing was changed"):
        planned("freeze", answers=7)


def test_a_host_without_a_venue_is_a_usage_error() -> None:
    elsewhere = others({})
    with pytest.raises(UsageError, match=r"--host trader-a: it runs no venue. Services: trader"):
        venue_faults.control_url(elsewhere.hosts["trader-a"])
    with pytest.raises(UsageError, match="no host of demo runs a venue"):
        venue_faults.host_of(elsewhere)
    assert venue_faults.host_of(STACK) == "exchange"


BOOK = """# A game day
```yaml
title: t
rto_s: 30
steps:
  - fault: {fault}
    host: venue
    for: 5s
    share: 40
```
"""


def test_a_step_of_a_runbook_may_be_a_fault_of_the_venue() -> None:
    book = runbook.parse(BOOK.format(fault="venue.drop-response"), "book.md", venue_faults.venue_faults(), ())
    assert book.faults[0].fault == venue_faults.runnable("drop-response")(
        share=faults.make("drop-response", {"share": "40"}).share
    )  # type: ignore[attr-defined, call-arg]
    with pytest.raises(
        UsageError, match=r"book\.md:6:.*no fault 'venue.drop-respons'. Did you mean: venue.drop-response\?"
    ):
        runbook.parse(BOOK.format(fault="venue.drop-respons"), "book.md", venue_faults.venue_faults(), ())
