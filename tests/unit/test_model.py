"""Verdicts, deadlines and the hash of a plan."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from stormdesk.core.errors import ExitCode, UsageError
from stormdesk.core.model import Verdict
from stormdesk.core.plan import PeerWitness, Plan, Step, ttl
from stormdesk.run.request import plan_digest
from tests.cases.planning import a_plan, changed

HELD, UNKNOWN, VIOLATED = Verdict.HELD, Verdict.UNKNOWN, Verdict.VIOLATED


def test_the_worst_verdict_wins_and_none_at_all_is_unknown() -> None:
    assert Verdict.worst() is UNKNOWN
    for three in itertools.product(Verdict, repeat=3):
        worst = Verdict.worst(*three)
        assert worst is (VIOLATED if VIOLATED in three else UNKNOWN if UNKNOWN in three else HELD)


def test_the_most_serious_exit_code_wins() -> None:
    order = [ExitCode(code) for code in (70, 5, 4, 1, 3, 2, 0)]
    for first, second in itertools.combinations(order, 2):
        assert ExitCode.worst(second, first) is first
    assert ExitCode.worst() is ExitCode.HELD


@pytest.mark.parametrize(
    ("hold_s", "asked_s", "cuts", "wanted"),
    [
        (20.0, None, False, 35.0),
        (20.0, 25.0, False, 25.0),
        (20.0, 1800, False, 1800.0),
        (1785.0, None, False, 1800.0),
        (20.0, None, True, 20.0),  # the watchdog is the planned reverter
        (20.0, 20, True, 20.0),
        (300.0, None, True, 300.0),
    ],
)
def test_the_time_to_live(hold_s: float, asked_s: float | None, cuts: bool, wanted: float) -> None:
    got = ttl(hold_s, asked_s, cuts_control=cuts)
    assert got == wanted
    assert isinstance(got, float)


@pytest.mark.parametrize(
    ("hold_s", "asked_s", "cuts", "says"),
    [
        (20.0, 24.9, False, "--ttl 24.9s: must be at least 25s (hold 20s + 5s)"),
        (20.0, 1800.5, False, "--ttl 1800.5s: must be at most 1800s"),
        (1790.0, None, False, "must be at most 1800s; use a shorter --for"),
        (20.0, 19.0, True, "--ttl 19s: must be at least 20s"),
        (20.0, 300.5, True, "must be at most 300s"),
        (301.0, None, True, "must be at most 300s; use a shorter --for"),
    ],
)
def test_a_time_to_live_out_of_range_is_refused(hold_s: float, asked_s: float | None, cuts: bool, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        ttl(hold_s, asked_s, cuts_control=cuts)
    assert says in str(caught.value)


def plan(host: str) -> Plan:
    step = Step(("sd_fill", f"/d/{host}"), (("rm", "-f", f"/d/{host}"),))
    return a_plan(run_id="r-1", host=host, resources=("disk:/d",), steps=(step,), witness=("sd_witness_full", "/d"))


# A changed value for every field of a plan but its run id, which is another each time.
CHANGES: dict[str, Any] = {
    "fault": "other", "host": "x", "target": "qa root@192.0.2.1:22 ssh-ed25519 AAAA",
    "hold_s": 21.0, "ttl_s": 36.0, "inject_budget_s": 16.0, "undo_wait_s": 1.0,
    "mechanism": "other", "rejected": (("fallocate", "the host has none"),), "says": "other", "reverts_what": "other",
    "steps": (Step(("sd_fill", "/d/y"), ()),), "resources": ("disk:/e",), "rechecks": ((("true",), ""),),
    "touches": ("link",), "files": ("/etc/hosts",), "spaces": ("/d",), "persistent": True, "irreversible": True,
    "cuts": True, "peer": PeerWitness("p", ("true",), "unreachable"), "no_peer": "none is left",
    "baseline": ("true",), "witness": ("true",), "still": ("true",), "services": ("supervisor x",),
    "peers": (PeerWitness("p", ("true",), "rate", 1e6),),
    "restarts": (("trader", 0, 1),), "refuses_orders": True, "rto_from": "inject", "reboots": True,
}  # fmt: skip


def every_field() -> set[str]:
    groups = [getattr(plan("x"), group.name) for group in dataclasses.fields(Plan)]
    return {field.name for group in groups for field in dataclasses.fields(group)}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_case_C32_the_hash_is_of_all_hosts_and_of_every_field_of_each_plan(count: int) -> None:
    plans = [plan(f"host-{number}") for number in range(count)]
    known = plan_digest(plans)
    assert set(CHANGES) == every_field() - {"run_id"}
    for number, field in itertools.product(range(count), CHANGES):
        other = [*plans]
        other[number] = changed(other[number], **{field: CHANGES[field]})
        assert plan_digest(other) != known, (number, field)
    assert plan_digest([changed(each, run_id="r-2") for each in plans]) == known


def test_case_C32_a_host_more_or_less_or_with_the_plan_of_another_is_another_hash() -> None:
    plans = [plan(f"host-{number}") for number in range(4)]
    swapped = [
        changed(plans[0], steps=plans[1].change.steps),
        changed(plans[1], steps=plans[0].change.steps),
        *plans[2:],
    ]
    hashes = [plan_digest(some) for some in (plans, plans[:3], plans[1:], [*plans, plan("host-9")], swapped, plans[:1])]
    assert len(set(hashes)) == len(hashes)
    assert all(len(text) == 12 for text in hashes)
