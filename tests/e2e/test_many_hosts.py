"""Many hosts and several users at once, on a lab of forty-eight hosts for the whole file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.infra import environment, home
from stormdesk.run.record import load
from tests.support import zygote
from tests.support.zygote import Process

pytestmark = pytest.mark.lab
NODES = 42
ALLOWED = ("--allow-hosts", "50", "--allow-role-share", "100", "--allow-unsteady")


class People:
    """Whoever types `invoke`: each in a folder of their own, so that nobody knows of anybody's runs."""

    def __init__(self, lab: str, folder: Path) -> None:
        self.lab = lab
        self.folder = folder

    def start(self, who: str, task: str, *words: str) -> Process:
        env = {**os.environ, "STORMDESK_RUNS": str(self.folder / who), "STORMDESK_ENV": self.lab}
        return zygote.start(task, *words, "--json", env=env)

    def end(self, process: Process, within_s: float = 200) -> tuple[int, dict[str, Any], str]:
        """Exit code, document, what it said."""
        try:
            out, err = process.communicate(timeout=within_s)
        finally:
            process.kill()
        assert "Traceback" not in err, err
        return process.returncode, json.loads(out) if out.strip() else {}, err

    def run(self, who: str, task: str, *words: str) -> tuple[int, dict[str, Any], str]:
        return self.end(self.start(who, task, *words))

    def events(self, who: str, run: str) -> list[Mapping[str, Any]]:
        return list(load(self.folder / who / run))


@pytest.fixture(scope="module")
def people(lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    name = f"many-{os.getpid()}"
    environment.up(name, "scale:48", "lab", "direct", 3600.0, print)
    try:
        yield People(name, tmp_path_factory.mktemp("runs"))
    finally:
        environment.down(name, print)


@pytest.fixture(autouse=True)
def tidy(people: People) -> Iterator[None]:
    yield
    people.run("tidy", "chaos.revert", "--all")


def nodes(first: int, last: int) -> str:
    return ",".join(f"node-{n}" for n in range(first, last + 1))


@pytest.mark.parametrize("count", [16, NODES])
def test_many_adapters_go_down_at_one_instant_and_a_peer_sees_it_of_each(people: People, count: int) -> None:
    words = ("--host", nodes(1, count), "--network", "core", "--for", "5s", "--patience", "3")
    code, done, said = people.run("me", "chaos.adapter-down", *words, *ALLOWED)
    assert code in (0, 1, 5), said  # not refused
    events = people.events("me", done["run_id"])
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_name.setdefault(event["event"], []).append(event)
    ends = {event["host"]: event for event in by_name["S8.verified"]}
    assert {event["reverted_by"] for event in ends.values()} == {"controller"}, done[
        "why"
    ]  # nobody ran into a deadline
    assert (code, done["verdict"], done["residue"]) == (0, "held", "clean"), said
    witnessed = by_name["witness.peer"]
    assert sorted(event["target"] for event in witnessed) == sorted(ends)
    assert all(event["agrees"] for event in witnessed)
    assert witnessed[-1]["t"] - witnessed[0]["t"] < 1
    (spread,) = by_name["S4.spread"]
    assert spread["hosts"] == count
    answered_ms = sorted(event["took_ms"] for event in by_name["control.open"])
    print(f"{count} hosts answered a new connection within {answered_ms[len(answered_ms) // 2]} ms, all within {answered_ms[-1]} ms")
    assert len(answered_ms) == count
    order = [event["event"] for event in events if event["event"] in ("S3.acknowledged", "S4.injected")]
    assert order == ["S3.acknowledged"] * count + ["S4.injected"] * count


def test_a_peer_that_is_cut_off_itself_is_no_witness(people: People) -> None:
    """feed is the first on the network core: where it is among the hosts, another one is asked."""
    _, done, _ = people.run(
        "me", "chaos.adapter-down", "--host", "feed,node-1", "--network", "core", "--for", "3s", *ALLOWED
    )
    assert done["residue"] == "clean"
    witnessed = [event for event in people.events("me", done["run_id"]) if event["event"] == "witness.peer"]
    assert {event["host"] for event in witnessed} == {"node-10"}
    assert [event["agrees"] for event in witnessed] == [True, True]


def injected(people: People, who: str) -> list[float]:
    """When that person's run was in: its injects, then its reverts."""
    with contextlib.suppress(ValueError, UsageError):
        (run,) = (people.folder / who).glob("r-*")
        return [float(e["injected_t"]) for e in people.events(who, run.name) if e["event"] == "S4.injected"]
    return []


def test_case_C37_two_people_never_take_both_traders(people: People) -> None:
    words = ("--network", "market", "--for", "8s", "--allow-unsteady", "--patience", "3")  # 46 hosts on a busy machine
    both = {
        who: people.start(who, "chaos.adapter-down", "--host", host, *words)
        for who, host in (("ann", "trader-a"), ("bob", "trader-b"))
    }
    ends = {who: people.end(process) for who, process in both.items()}
    refused = [who for who, (code, _, _) in ends.items() if code == 3]
    assert len(refused) == 1, ends
    (winner,) = set(both) - set(refused)
    assert ends[winner][1]["residue"] == "clean"
    said = ends[refused[0]][2]
    found = re.search(r"2 of 2 hosts of role trader at once \(run (r-\S+) is on trader-.\): at most 33 %", said)
    assert found, said
    assert found[1] == ends[winner][1]["run_id"]
    assert injected(people, winner)
    assert not injected(people, refused[0])


def test_case_C37_hosts_are_counted_over_all_runs(people: People) -> None:
    """Six nodes are taken by one person; five more by another would be eleven."""
    words = ("--network", "core", "--allow-unsteady", "--patience", "3")
    first = people.start("cid", "chaos.adapter-down", "--host", nodes(1, 6), "--for", "90s", *words)
    until = time.monotonic() + 90
    while len(injected(people, "cid")) < 6:
        assert time.monotonic() < until, "not in within 90 s"
        time.sleep(0.2)
    code, _, said = people.run("dan", "chaos.adapter-down", "--host", nodes(7, 11), "--for", "3s", *words)
    first.send_signal(signal.SIGINT)
    assert code == 3, said
    assert re.search(
        r"11 hosts at once \(run r-\S+ is on node-1; .* and 3 more\): at most 10\. Wait, or: --allow-hosts 11", said
    )
    assert not injected(people, "dan")
    assert people.end(first)[1]["residue"] == "clean"


def test_case_C37_two_names_of_one_machine_are_one(people: People, tmp_path: Path) -> None:
    path = Path(home.home(), "envs", people.lab, "inventory.json")
    document = json.loads(path.read_text())
    document["hosts"]["alias"] = {**document["hosts"]["trader-a"], "name": "alias", "role": "alias"}
    twice = tmp_path / "twice.json"
    twice.write_text(json.dumps(document))
    env = ("--inventory", str(twice), "--network", "market", "--for", "3s", "--allow-unsteady")
    code, _, said = people.run("fay", "chaos.adapter-down", "--host", "alias,trader-a", *env)
    assert code == 3
    assert "alias and trader-a are one machine by two names: name one of them. Nothing was changed" in said
