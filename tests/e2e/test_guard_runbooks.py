"""The game days about the guards: H-01, H-02, L-01 with L-02; their records (L-05), and their abort on failure (L-06)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from stormdesk.desk.http_services import Services
from stormdesk.run.record import load
from tests.support.desk import Desk, eventually

pytestmark = pytest.mark.lab

HEARTBEAT_MAX_S = 5.0
IMPOSSIBLE = """# A game day that must fail
```yaml
title: Nobody leads although nothing happened to the leader
scenario: L-06
rto_s: 30
steps:
  - id: fill
    fault: disk-full
    host: feed
    for: 3s
    expect:
      - {metric: leaders, at_most: 0, after: inject, within: 1s}
```
"""


def played(desk: Desk, runbook: str) -> dict[str, Any]:
    """The one step of a game day that held."""
    (step,) = desk.invoke("gameday.run", "--runbook", f"runbooks/{runbook}.md")["steps"]
    assert step["verdict"] == "held"
    return dict(step)


def closed(desk: Desk) -> set[tuple[str, str]]:
    """What people have closed at each trader, asked of the trader itself."""
    found = set()
    services = Services(desk.pool)
    for host, answer in services.get("trader", "/health", services.hosts("trader")).items():
        page = answer.document
        if page["kill_switch"]["active"]:
            found.add((host, "kill switch"))
        if any(reason.startswith("pause:") for reason in page["paused"]["reasons"]):
            found.add((host, "pause"))
    return found


@pytest.mark.parametrize("runbook", ["kill-feeder", "kill-trader"])
def test_the_runbook_holds(desk: Desk, runbook: str) -> None:
    played(desk, runbook)


def test_scenario_L_05_the_record_of_a_lost_lock_says_who_led_and_who_was_ready(desk: Desk) -> None:
    """Leader and readiness before, while Redis hangs, and after; the leader's heartbeats; the result. In its own files."""
    folder = desk.runs / played(desk, "leader-loss")["run_id"]
    record = [dict(event) for event in load(folder)]
    samples = [event for event in record if event["event"] == "sample"]
    seen = [
        (phase, {(int(s["metrics"]["leaders"]), int(s["metrics"]["ready"])) for s in group if s["metrics"]})
        for phase, group in itertools.groupby(samples, lambda s: s["phase"])
    ]
    assert [phase for phase, _ in seen] == ["steady", "hold", "recover"]
    assert seen[0][1] == {(1, 1)}
    assert (0, 0) in seen[1][1]
    last = samples[-1]
    assert (last["metrics"]["leaders"], last["metrics"]["ready"]) == (1, 1)
    (leader,) = (h for h in last["health"].values() if h.get("leader", {}).get("is_leader"))
    assert {"scan", "order", "md"} <= leader["heartbeats"].keys()
    assert max(leader["heartbeats"].values()) < HEARTBEAT_MAX_S
    assert record[-1]["event"] == "verdict"
    assert record[-1]["verdict"] == "held"
    assert {"report.html", "summary.md", "scorecard.json"} <= {path.name for path in folder.iterdir()}


def test_scenario_L_06_a_game_day_that_fails_leaves_the_desk_safe(desk: Desk, tmp_path: Path) -> None:
    """With --abort-on-fail: paused, every kill switch on. Without, and where all is well, the desk trades on."""
    book = tmp_path / "impossible.md"
    book.write_text(IMPOSSIBLE)

    assert "aborted" not in desk.invoke("gameday.run", "--runbook", str(book), code=1)
    assert closed(desk) == set()
    assert desk.invoke("gameday.run", "--runbook", str(book), "--abort-on-fail", code=1)["aborted"] is True
    assert closed(desk) == {(host, what) for host in ("trader-a", "trader-b") for what in ("pause", "kill switch")}
    desk.invoke("stack.resume", "--by", "tester")
    desk.invoke("stack.kill-switch", "--off", "--by", "tester")
    eventually(lambda: closed(desk) == set(), 30)
