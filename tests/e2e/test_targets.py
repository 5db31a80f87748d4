"""Targets that are resolved late, on a trading lab: whoever leads, also after a change of leader, and one of a role by its seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, events, eventually
from tests.unit import schemas

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]
TRADERS = ("trader-a", "trader-b")
NOOP = ("chaos.noop", "--for", "1s", "--allow-unsteady")
HEALTH = "curl -s -m 3 http://127.0.0.1:8000/health || true"


def leads(desk: Desk, host: str) -> bool:
    """What the trader says of itself: not where the product looks."""
    said = desk.sh(host, HEALTH)
    return bool(json.loads(said)["leader"]["is_leader"]) if said else False


def leader(desk: Desk) -> str:
    return str(eventually(lambda: next((host for host in TRADERS if leads(desk, host)), ""), 60))


def hit(desk: Desk, done: dict[str, Any]) -> str:
    """The one host that the run has injected on, by its record; record, document and report name it as the leader."""
    said = events(desk, done["run_id"])
    (host,) = {event["host"] for event in said if event["event"] == "S4.injected"}
    assert said[0]["hosts"] == [host]
    assert said[0]["targets"] == done["targets"]
    (target,) = done["targets"]
    assert (target["asked"], target["hosts"]) == ("leader", [host])
    assert f"leader is {host}: {target['why']}" in (desk.runs / done["run_id"] / "report.html").read_text()
    assert schemas.mistakes_below(desk.runs / done["run_id"])[0] == []
    return str(host)


def change_leader(desk: Desk, now: str) -> str:
    """The trader that leads is told to stop, and gives its lock back; returns who leads then."""
    other = next(host for host in TRADERS if host != now)
    for _ in range(5):
        desk.sh(now, "pkill -TERM -F /run/trading/trader.pid")
        eventually(lambda: not leads(desk, now), 20)
        if leader(desk) == other:
            eventually(lambda: desk.sh(now, HEALTH), 60)
            return other
    raise AssertionError(f"{now} took its lock again five times")


def test_a_fault_on_the_leader_hits_who_leads_and_then_the_other(desk: Desk, tmp_path: Path) -> None:
    first = leader(desk)
    assert hit(desk, desk.invoke(*NOOP, "--host", "leader")) == first
    second = change_leader(desk, first)
    assert hit(desk, desk.invoke(*NOOP, "--host", "leader")) == second
    book = tmp_path / "book.md"
    lines = [
        "```yaml",
        "title: T",
        "rto_s: 60",
        "steps:",
        "  - {fault: noop, host: leader, for: 1s}",
        "checks: [I-13]",
        "```",
    ]
    book.write_text("\n".join(lines))
    eventually(
        lambda: desk.sh("ops", "curl -sf http://127.0.0.1:8010/state | grep -q '\"reasons\": *\\[\\]' && echo y"), 60
    )
    (step,) = desk.invoke("gameday.run", "--runbook", str(book))["steps"]
    assert hit(desk, step) == second


def test_one_of_a_role_is_chosen_again_by_the_seed_of_the_record(desk: Desk) -> None:
    done = desk.invoke(*NOOP, "--host", "one:role:trader")
    (target,) = done["targets"]
    assert target["why"] == f"seed {done['seed']}"
    (plan,) = desk.invoke(*NOOP, "--host", "one:role:trader", "--seed", str(done["seed"]), "--plan")["plans"]
    assert [plan["id"]["host"]] == target["hosts"]
    assert f"--seed {done['seed']}" in (desk.runs / done["run_id"] / "summary.md").read_text()


def test_without_an_answer_of_redis_nobody_is_taken_for_the_leader(desk: Desk) -> None:
    desk.sh("store", "pkill -STOP -F /run/redis/redis.pid")
    try:
        refused = desk.invoke(*NOOP, "--host", "leader", code=3)
    finally:
        desk.sh("store", "pkill -CONT -F /run/redis/redis.pid")
    assert refused["error"].startswith("--host leader: redis on store cannot be asked who leads: no answer within 3 s")
    assert len(refused["error"].splitlines()) == 1
