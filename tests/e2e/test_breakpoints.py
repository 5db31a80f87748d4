"""Whole runs whose fault waits for an event, on a trading lab: the event is held until the fault is in, whoever dies meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, events, eventually, sat_at

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]
BASE = "http://10.77.0.11:8081"
BURNERS = 4  # processes that keep both processors busy, for "whatever the load"
HELD = "grep -l '^TracerPid:.*[1-9]' /proc/[0-9]*/status; ps -o pid= -C strace; :"


@pytest.fixture(scope="module")
def desk(brisk_lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with sat_at(brisk_lab, tmp_path_factory.mktemp("runs")) as desk:
        yield desk


@pytest.fixture
def load() -> Iterator[None]:
    """Other processes want the processors too."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BURNERS)]
    yield
    for burner in burners:
        burner.kill()
        burner.wait()


def leader(desk: Desk) -> str:
    """The trader that leads."""
    asked = "curl -s -m 3 127.0.0.1:8000/health"
    hosts = ("trader-a", "trader-b")
    return str(
        eventually(
            lambda: next(
                (h for h in hosts if json.loads(desk.sh(h, asked) or "{}").get("leader", {}).get("is_leader")), ""
            ),
            60,
        )
    )


def journal(desk: Desk) -> list[dict[str, Any]]:
    return [json.loads(line) for line in desk.sh("venue", f"curl -s '{BASE}/journal?since=0'").splitlines()]


def window(desk: Desk, run: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The run's events of its breakpoint, each there once and in order: set, come, the last confirmation, over."""
    named = ("breakpoint.set", "breakpoint.come", "S5.confirmed", "breakpoint.over")
    found = [event for event in events(desk, run) if event["event"] in named]
    assert [event["event"] for event in found] == list(named)
    return found[0], found[1], found[2], found[3]


def at_the_venue(desk: Desk, run: str) -> None:
    """By the venue's own journal: accepted, held, the fault in and acknowledged, let go on request, answered; in this order."""
    _, _, confirmed, over = window(desk, run)
    assert over["held"] is True, over
    lines = journal(desk)
    marks = [line for line in lines if line["kind"] == "MARK" and line["what"] == "breakpoint"][-3:]
    held, lifted, answered = marks
    assert [mark["detail"]["state"] for mark in marks] == ["holding", "over", "over"]
    assert (lifted["detail"]["by"], lifted["detail"]["answered"], answered["detail"]["answered"]) == ("request", 0, 1)
    accepted = next(line for line in lines if line["seq"] == held["detail"]["journal_seq"])
    assert accepted["kind"] == "ACCEPTED"
    # One machine, one clock; the host's instants are known to a few milliseconds.
    assert accepted["t"] <= held["t"] <= confirmed["host_t"] + 0.05 <= lifted["t"] + 0.05
    assert lifted["seq"] < answered["seq"]


def test_an_adapter_goes_down_between_the_venues_acceptance_and_its_answer(desk: Desk) -> None:
    host = leader(desk)
    done = desk.invoke(
        "chaos.adapter-down", "--host", host, "--network", "market", "--for", "3s", "--at", "venue:accepted:3"
    )
    at_the_venue(desk, done["run_id"])
    assert "the fault was in while it was held" in Path(done["report"]).read_text()


def test_a_process_is_held_between_write_and_fdatasync(desk: Desk) -> None:
    host = leader(desk)
    at = f"{host}/trader:fdatasync:2"
    done = desk.invoke("chaos.process-kill", "--host", host, "--service", "trader", "--for", "1s", "--at", at)
    _, come, _, over = window(desk, done["run_id"])
    assert "write(" in come["evidence"]
    assert "fdatasync(" in come["evidence"]
    assert (over["held"], "ended in it" in over["evidence"]) == (True, True), over
    assert desk.sh(host, HELD) == ""


def test_an_event_that_does_not_come_injects_nothing_and_leaves_nothing(desk: Desk) -> None:
    host = leader(desk)
    for at in ("venue:accepted:9999", f"{host}/trader:fdatasync:9999"):
        done = desk.invoke("chaos.noop", "--host", host, "--for", "1s", "--at", at, "--at-within", "2s", code=3)
        assert f"{at} did not come within 2 s. Nothing was injected" in done["error"]
        (run,) = [path for path in desk.runs.glob("r-*") if said_no(desk, path.name, at)]
        assert "S4.injected" not in [event["event"] for event in events(desk, run.name)]
    assert desk.records() == {}
    assert desk.sh(host, HELD) == ""
    assert json.loads(desk.sh("venue", f"curl -s {BASE}/health"))["ok"]


def said_no(desk: Desk, run: str, at: str) -> bool:
    return any(event["event"] == "verdict" and f"{at} did not come" in event["why"] for event in events(desk, run))


@pytest.mark.parametrize("what", ["venue", "process"])
def test_what_is_held_goes_on_when_the_controller_is_killed(desk: Desk, what: str) -> None:
    host = leader(desk)
    # Far enough away that the controller is dead when it comes.
    at = "venue:accepted:10" if what == "venue" else f"{host}/trader:fdatasync:30"
    process = desk.start("chaos.noop", "--host", "ops", "--for", "1s", "--at", at, "--at-within", "5s")
    run = desk.run_started_by(process)
    desk.reached(run, "breakpoint.set")
    process.kill()
    process.communicate()
    if what == "venue":
        eventually(lambda: [m for m in journal(desk) if m["kind"] == "MARK"][-1]["detail"]["state"] == "holding", 30)
        eventually(lambda: [m for m in journal(desk) if m["kind"] == "MARK"][-1]["detail"].get("by") == "deadline", 60)
    else:
        eventually(lambda: desk.sh(host, "cat /run/stormdesk/r-*/breaker.come 2>/dev/null"), 30)
        eventually(lambda: desk.sh(host, HELD) == "", 60)
    desk.invoke("chaos.recover")
    eventually(lambda: leader(desk), 60)


@pytest.mark.parametrize("what", ["venue:accepted:{nth}", "{host}/trader:fdatasync:{nth}"])
@pytest.mark.usefixtures("load")
def test_every_injection_lands_in_its_window_whatever_the_load(
    desk: Desk, repeats: Callable[..., int], what: str
) -> None:
    for number in range(repeats(50, 2)):
        host = leader(desk)
        at = what.format(host=host, nth=1 + number % 5)
        done = desk.invoke(
            "chaos.noop", "--host", host, "--for", "1s", "--at", at, "--patience", "4", "--allow-unsteady", code=0
        )
        if at.startswith("venue"):
            at_the_venue(desk, done["run_id"])
        else:
            _, _, _, over = window(desk, done["run_id"])
            assert (over["held"], "has not begun" in over["evidence"]) == (True, True), over


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("venue:accepted", "--at venue:accepted: must be venue:WORD:N"),
        ("venue:accepted:0", "--at venue:accepted:0: the number must be 1..10000"),
        ("nowhere/trader:fdatasync:1", "no host 'nowhere'"),
        ("trader-a/redis:fdatasync:1", "trader-a runs"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_touched(desk: Desk, at: str, says: str) -> None:
    before = len(list(desk.runs.glob("r-*")))
    done = desk.invoke("chaos.noop", "--host", "ops", "--for", "1s", "--at", at, code=2)
    assert says in done["error"]
    assert len(done["error"].splitlines()) == 1
    assert len(list(desk.runs.glob("r-*"))) == before


def test_a_call_that_no_system_has_is_refused_before_anything_is_touched(desk: Desk) -> None:
    before = len(list(desk.runs.glob("r-*")))
    done = desk.invoke("chaos.noop", "--host", "ops", "--for", "1s", "--at", "trader-a/trader:fdatasink:1", code=3)
    assert "fdatasink" in done["error"]
    assert len(list(desk.runs.glob("r-*"))) == before
