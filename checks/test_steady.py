"""The steady state: holds before a fault, and again after it."""

from __future__ import annotations

import pytest

from stormdesk.checks.plugin import Judged
from stormdesk.evidence import judging_run, steady
from stormdesk.evidence.gathered import Evidence

pytestmark = pytest.mark.steady_state


def test_services(evidence: Evidence, where: str, judged: Judged) -> None:
    judged(judging_run.services(evidence, where))


def test_ports(evidence: Evidence, where: str, judged: Judged) -> None:
    judged(judging_run.ports(evidence, where))


def test_http(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.of_traders(steady.http, evidence))


def test_code(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.of_traders(steady.code, evidence))


def test_leader(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.of_traders(steady.leader, evidence))


def test_orders_flow(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.of_traders(steady.flow, evidence))


def test_stream(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.of_traders(steady.stream, evidence))


def test_guards(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.guards(evidence))


def test_disk(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.disk(evidence))
