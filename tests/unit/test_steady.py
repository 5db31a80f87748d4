"""The judges of the steady state, on the answers of three real hosts, then with one change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stormdesk.core.errors import HostError
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import steady
from stormdesk.evidence.steady import Vitals

SAID = Path(__file__).parents[1] / "cases" / "vitals"
TRADERS = ["trader-a", "trader-b"]
HOSTS = [*TRADERS, "store"]
Judge = Callable[[Mapping[str, Vitals]], CheckResult]
JUDGES: Mapping[str, Judge] = {
    "http": lambda vitals: steady.http(vitals, TRADERS),
    "code": lambda vitals: steady.code(vitals, TRADERS),
    "leader": lambda vitals: steady.leader(vitals, TRADERS),
    "orders flow": lambda vitals: steady.flow(vitals, TRADERS),
    "stream": lambda vitals: steady.stream(vitals, TRADERS),
    "guards": lambda vitals: steady.guards(vitals, TRADERS),
    "disk": lambda vitals: steady.disk(vitals, HOSTS),
}


def said(**changes: tuple[str, str]) -> dict[str, Vitals]:
    """What the hosts said; `trader_a=(pattern, replacement)` changes it everywhere in that host's answer."""
    found = {}
    for host in HOSTS:
        text = (SAID / f"{host}.txt").read_text()
        if change := changes.get(host.replace("-", "_")):
            text, times = re.subn(change[0], change[1], text, flags=re.MULTILINE)
            assert times, f"{change[0]} is not in what {host} said"
        found[host] = steady.parse(host, text)
    return found


@pytest.mark.parametrize("name", JUDGES)
def test_steady_is_held(name: str) -> None:
    result = JUDGES[name](said())
    assert (result.id, result.verdict) == (name, Verdict.HELD)
    assert result.sources["hosts asked"] == (3 if name == "disk" else 2)


CHANGES = {
    "no health": ("http", {"trader_b": ("==stormdesk== health 200", "==stormdesk== health 000")}, "trader-b: /health"),
    "nobody ready": ("http", {"trader_a": ("==stormdesk== ready 200", "==stormdesk== ready 503")}, "no trader is ready"),
    "one host left out": ("code", {"trader_b": ('"code":"[0-9a-f]*"', '"code":"0123456789ab"')}, "trader-b runs 0123456789ab"),
    "two leaders": ("leader", {"trader_b": ("^trader_is_leader 0.0", "trader_is_leader 1.0")}, "trader-a, trader-b"),
    "no leader": ("leader", {"trader_a": ("^trader_is_leader 1.0", "trader_is_leader 0.0")}, "0 leaders"),
    "no growth": (
        "orders flow", {"trader_a": (r'^(trader_orders_total{.*state="accepted"}) .*', r"\1 7.0")}, "no order accepted",
    ),
    "unknown order": ("orders flow", {"trader_a": ("^trader_order_unknown 0.0", "trader_order_unknown 2.0")}, "2 orders"),
    "old data": (
        "stream", {"trader_b": (r'^(trader_heartbeat_age_seconds{loop="md"}) .*', r"\1 6.5")}, "trader-b: market data is 6.5",
    ),
    "dead guard": ("guards", {"trader_b": ("==stormdesk== guard 4", "==stormdesk== guard 31")}, "trader-b: health_v2.json is 31 s"),
    "guard gave up": ("guards", {"trader_b": ('"stage":"OBSERVE"', '"stage":"FAILSAFE"')}, "trader-b: stage FAILSAFE"),
    "torn guard": ("guards", {"trader_a": ('^{"ts":1795275596.*', '{"ts":17')}, "trader-a: stage unreadable"),
    "disk full": ("disk", {"store": (r"(\d+) +(\d+) +\d+% +/var/lib/trading", r"\2 9 100% /var/lib/trading")}, "store: "),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "named"), CHANGES.values(), ids=CHANGES)
def test_one_thing_changed_is_violated(name: str, changes: dict[str, tuple[str, str]], named: str) -> None:
    result = JUDGES[name](said(**changes))
    assert result.verdict is Verdict.VIOLATED
    assert named in result.why


@pytest.mark.parametrize("name", JUDGES)
def test_one_silent_host_is_unknown_and_so_are_no_answers(name: str) -> None:
    vitals = said()
    del vitals["trader-b"]
    result = JUDGES[name](vitals)
    assert (result.verdict, result.why) == (Verdict.UNKNOWN, "no answer from trader-b")
    assert JUDGES[name]({}).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", ["leader", "orders flow", "stream"])
def test_metrics_that_do_not_come_are_unknown(name: str) -> None:
    result = JUDGES[name](said(trader_b=("^trader_.*", "")))
    assert result.verdict is Verdict.UNKNOWN


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    text = (SAID / "trader-a.txt").read_text()
    for length in range(0, len(text) - 6, 97):
        with pytest.raises(HostError):
            steady.parse("trader-a", text[:length])
