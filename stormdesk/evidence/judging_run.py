"""Calls the checks one after the other: evidence in, a CheckResult for each out.

The files in checks/ call the same functions from pytest.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import steady
from stormdesk.evidence.gathered import Evidence, in_one_line
from stormdesk.evidence.judges import JUDGES, applicable
from stormdesk.evidence.steady import Vitals


class LeftOut(Exception):
    """This check has nothing that it could be about here."""


@dataclass(frozen=True)
class Answer:
    """One check: its test's file and name in checks/, and what it said; without a result, why it was left out."""

    file: str
    name: str
    result: CheckResult | None
    left_out: str = ""


Check = Callable[[Evidence], CheckResult]  # raises LeftOut


# -- the steady state --------------------------------------------------------------------------------------------------


def services(evidence: Evidence, where: str) -> CheckResult:
    """Its manager, supervisord or systemd, runs every service that it is to run on the host."""
    if not any(entry.manager in ("supervisor", "systemd") for entry in _live(evidence).hosts[where].services.values()):
        raise LeftOut(f"no service on {where} that supervisord or systemd runs")
    return steady.services(where, evidence.services.get(where, {}))


def ports(evidence: Evidence, where: str) -> CheckResult:
    """Every port that the inventory names is listened on."""
    entries = _live(evidence).hosts[where].services
    wanted = {port: f"{name} {port}" for name, entry in entries.items() for port in entry.ports.values()}
    if not wanted:
        raise LeftOut(f"no port of {where} in the inventory")
    return steady.ports(where, wanted, evidence.sockets.get(where, ()))


def of_traders(judge: Callable[[Mapping[str, Vitals], Sequence[str]], CheckResult], evidence: Evidence) -> CheckResult:
    """One of the judges in steady.py about all traders."""
    inventory = _live(evidence)
    _need_trading(evidence)
    return judge(evidence.vitals, [host.name for host in inventory.role("trader")])


def guards(evidence: Evidence) -> CheckResult:
    """Every guard that the inventory names looks after its host."""
    asked = [name for name, host in _live(evidence).hosts.items() if "guard" in host.services]
    if not asked:
        raise LeftOut("no guard in the inventory")
    return steady.guards(evidence.vitals, asked)


def disk(evidence: Evidence) -> CheckResult:
    """Every data folder that the inventory names has room."""
    asked = [name for name, host in _live(evidence).hosts.items() if "data" in host.paths]
    if not asked:
        raise LeftOut("no host has a data folder in the inventory")
    return steady.disk(evidence.vitals, asked)


# -- invariants and residue --------------------------------------------------------------------------------------------


def invariant(name: str, evidence: Evidence) -> CheckResult:
    """The judge of this name on the cut."""
    _need_trading(evidence)
    if name not in applicable(evidence.cut):
        raise LeftOut(f"{name}: this cut has nothing that it is about, a fault or a service")
    return JUDGES[name](evidence.cut)


def residue(evidence: Evidence) -> CheckResult:
    """Nothing of ours is left on any host."""
    return JUDGES["I-13"](evidence.residue)


def _live(evidence: Evidence) -> Inventory:
    if evidence.inventory is None:
        raise LeftOut("a recorded cut has no hosts to ask")
    return evidence.inventory


def _need_trading(evidence: Evidence) -> None:
    """What is about orders is left out where no venue says which there were."""
    if evidence.inventory is not None and not evidence.inventory.trading:
        raise LeftOut("not the trading stack: no venue, trader and postgres with their ports in the inventory")


# -- all of them -------------------------------------------------------------------------------------------------------

NO_CHECK = "no check says anything about these hosts: name services, ports or paths in the inventory, or own checks in invoke.yaml"
PER_HOST: Mapping[str, Callable[[Evidence, str], CheckResult]] = {"test_services": services, "test_ports": ports}
# Group, file, test: as in checks/, and in this order.
CHECKS: Mapping[str, Mapping[str, Mapping[str, Check]]] = {
    "steady": {
        "test_steady": {
            "test_http": partial(of_traders, steady.http),
            "test_code": partial(of_traders, steady.code),
            "test_leader": partial(of_traders, steady.leader),
            "test_orders_flow": partial(of_traders, steady.flow),
            "test_stream": partial(of_traders, steady.stream),
            "test_guards": guards,
            "test_disk": disk,
        }
    },
    "invariants": {
        file: {test: partial(invariant, judge) for test, judge in tests.items()}
        for file, tests in {
            "test_orders": {
                "test_every_venue_order_has_an_earlier_intent": "I-01",
                "test_no_order_is_accepted_twice": "I-02",
                "test_no_order_is_lost": "I-03",
                "test_each_order_went_as_the_ledgers_say": "I-18",
                "test_a_signal_from_outside_has_at_most_one_order": "I-21",
                "test_refused_orders_never_reach_the_venue": "refusals",
            },
            "test_positions": {
                "test_positions_are_exact": "I-04",
                "test_the_sum_of_all_balances_is_conserved": "I-14",
            },
            "test_ledger": {"test_the_ledger_chain_is_unbroken": "I-05"},
            "test_leader": {"test_one_epoch_sends": "I-06"},
            "test_gates": {
                "test_no_order_through_a_shut_gate": "I-07",
                "test_no_order_is_open_after_a_kill": "I-17",
                "test_what_a_person_stopped_stays_stopped": "I-19",
            },
            "test_trades": {"test_no_trade_is_beyond_its_order": "I-20"},
            "test_rates": {"test_the_venues_limits_are_kept": "I-12"},
            "test_market_data": {"test_market_data_is_complete": "I-08", "test_the_bus_keeps_its_order": "I-11"},
            "test_recovery": {
                "test_recovery_is_in_time": "I-09",
                "test_nobody_was_restarted_but_as_claimed": "I-10",
            },
        }.items()
    },
    "residue": {"test_residue": {"test_no_residue": residue}},
}


def answers(evidence: Evidence, what: Sequence[str]) -> list[Answer]:
    """What the checks of `what` (steady, invariants, residue) say. A check that runs into an error is unknown: nothing is raised
    but signals."""
    return [_answer(evidence, *asked) for group in what for asked in _asked(evidence, group)]


def _asked(evidence: Evidence, group: str) -> Iterator[tuple[str, str, Check]]:
    where = sorted(evidence.inventory.hosts) if evidence.inventory else ["recorded"]
    for file, checks in CHECKS[group].items():
        if group == "steady":
            for test, check in PER_HOST.items():
                yield from ((file, f"{test}[{host}]", partial(_on, check, host)) for host in where)
        yield from ((file, test, one) for test, one in checks.items())


def _on(check: Callable[[Evidence, str], CheckResult], host: str, evidence: Evidence) -> CheckResult:
    return check(evidence, host)


def _answer(evidence: Evidence, file: str, name: str, check: Check) -> Answer:
    began = time.monotonic()
    try:
        result = check(evidence)
    except LeftOut as reason:
        return Answer(file, name, None, str(reason))
    except Exception as error:  # noqa: BLE001  a check that fails says nothing about the stack
        why = in_one_line("".join(traceback.format_exception_only(error)))
        result = CheckResult(name.removeprefix("test_"), Verdict.UNKNOWN, why)
    return Answer(file, name, replace(result, took_s=round(time.monotonic() - began, 3)))
