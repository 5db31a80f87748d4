"""The orchestrator's state and its file: H-05 (corrupt file), B-04 (restart keeps state), E-03 (unanswered alert)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import pytest

from stormdesk.testnet import resilience
from stormdesk.testnet.orchestrator import state as decide
from stormdesk.testnet.orchestrator.pages import Paused, TraderPage
from stormdesk.testnet.orchestrator.poller import Config, Desk
from stormdesk.testnet.orchestrator.state import Leader, State
from stormdesk.testnet.orchestrator.statefile import StateFile

LED = State(leader=Leader("trader-a", 3))


def test_scenario_L_01_without_a_leader_the_desk_is_paused_and_with_one_it_is_not() -> None:
    assert LED.reasons == []
    gone = decide.follow(LED, [])
    assert gone.reasons == ["no leader"]
    assert decide.follow(gone, [Leader("trader-b", 4)]).reasons == []


def test_of_two_that_say_they_lead_the_newer_epoch_does() -> None:
    assert decide.follow(State(), [Leader("trader-a", 3), Leader("trader-b", 4)]).leader == Leader("trader-b", 4)


def test_a_pause_stays_as_it_was_given_until_somebody_resumes() -> None:
    paused = decide.pause(decide.pause(LED, "alice", "drill", 1.0), "bob", "lunch", 2.0)
    assert paused.reasons == ["alice: drill"]
    aborted = decide.abort(paused, "bob", "fire", 3.0)
    assert (aborted.aborted, aborted.reasons) == (True, ["alice: drill"])
    assert decide.resume(aborted, "bob") == LED


def test_scenario_E_03_an_alert_that_nobody_answers_pauses_the_desk() -> None:
    raised = decide.update_alerts(LED, "trader-a", {"failsafe": "no use"}, 100.0)
    assert decide.pause_if_unanswered(raised, 219.0, 120.0).pause is None
    late = decide.pause_if_unanswered(raised, 221.0, 120.0)
    assert late.reasons == ["orchestrator: nobody answered trader-a:failsafe for 120 s"]
    answered = decide.answer(raised, "trader-a:failsafe", "alice")
    assert decide.pause_if_unanswered(answered, 999.0, 120.0).pause is None
    assert decide.pause_if_unanswered(decide.resume(late, "bob"), 999.0, 120.0).pause is None


def test_an_alert_that_is_raised_again_keeps_its_clock_and_one_that_is_cleared_is_gone() -> None:
    raised = decide.update_alerts(LED, "trader-a", {"failsafe": "no use"}, 100.0)
    again = decide.update_alerts(
        decide.update_alerts(raised, "trader-a", {"failsafe": "no use"}, 200.0), "feed", {}, 200.0
    )
    assert again.alerts["trader-a:failsafe"].t == 100.0
    assert decide.update_alerts(again, "trader-a", {}, 300.0).alerts == {}


def test_scenario_B_04_a_restart_finds_the_same_state(tmp_path: Path) -> None:
    first = StateFile(tmp_path)
    told = decide.abort(decide.update_alerts(LED, "feed", {"failsafe": "x"}, 5.0), "alice", "drill", 7.0)
    first.write(told)
    second = StateFile(tmp_path)
    assert second.state == told
    assert (second.rejected, second.defaulted) == (0, False)
    assert not second.alert.exists()


BAD = (b"", b"{", b'{"version": 2}', b'{"version": 1, "paused": true}', b"\x00" * 4096, b"[" * 10_000, b"null")


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad[:20]))
def test_scenario_H_05_a_corrupt_file_is_loaded_from_its_backup(tmp_path: Path, bad: bytes) -> None:
    first = StateFile(tmp_path)
    paused = decide.pause(LED, "alice", "drill", 1.0)
    first.write(paused)
    first.write(decide.follow(paused, [Leader("trader-b", 4)]))
    first.path.write_bytes(bad)
    second = StateFile(tmp_path)
    assert second.state == paused
    assert msgspec.json.decode(second.path.read_bytes(), type=State) == paused
    assert second.alert.exists()
    assert second.path.with_suffix(".json.rejected").exists() is bool(bad)


def test_scenario_H_05_without_a_good_backup_it_starts_from_the_default_and_says_so(tmp_path: Path) -> None:
    first = StateFile(tmp_path)
    first.write(LED)
    for path in (first.path, first.backup):
        path.write_bytes(b"{")
    second = StateFile(tmp_path)
    assert (second.state, second.defaulted) == (State(), True)
    assert second.alert.exists()


@pytest.mark.parametrize("bad", [*BAD, msgspec.json.encode(State())], ids=lambda bad: repr(bad[:20]))
def test_scenario_H_05_what_others_write_is_rejected_while_it_runs(tmp_path: Path, bad: bytes) -> None:
    file = StateFile(tmp_path)
    file.write(LED)
    assert file.check() == ""
    file.path.write_bytes(bad)
    assert file.check()
    assert msgspec.json.decode(file.path.read_bytes(), type=State) == LED
    assert file.alert.exists()
    assert file.check() == ""
    file.path.unlink()
    assert file.check()
    assert file.path.exists()


def test_scenario_H_05_a_state_that_is_not_of_the_schema_never_reaches_the_disk(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.write(LED)
    with pytest.raises(ValueError, match="not a state"):
        file.write(State(version=7))  # type: ignore[arg-type]
    assert StateFile(tmp_path).state == LED


WRITE = """
import sys
from pathlib import Path
from stormdesk.testnet.orchestrator import state as decide
from stormdesk.testnet.orchestrator.statefile import StateFile
file = StateFile(Path(sys.argv[1]))
print("up", flush=True)
n = 0
while True:
    n += 1
    file.write(decide.pause(decide.State(), "alice", "x" * (n % 5000), float(n)))
"""


def test_scenario_H_06_killed_in_its_write_loop_the_file_is_always_whole(tmp_path: Path) -> None:
    random = Random(5)
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout as out:
            assert out.readline() == b"up\n"
            for _ in range(random.randrange(400)):
                msgspec.json.decode((tmp_path / "state_bus.json").read_bytes(), type=State)
            os.kill(writer.pid, signal.SIGKILL)
        writer.wait(10)
        for path in tmp_path.glob("state_bus.json*"):
            msgspec.json.decode(path.read_bytes(), type=State)
    assert (tmp_path / "state_bus.json.bak").exists()
    assert not (tmp_path / "alerts").exists()


def desk_with(folder: Path) -> Desk:
    config = Config(listen="", data_dir=str(folder), pidfile="", traders={}, guards={})
    return Desk(config, resilience.load().orchestrator, StateFile(folder), None)  # type: ignore[arg-type]


def test_scenario_H_05_a_default_takes_over_the_pause_that_the_traders_still_know(tmp_path: Path) -> None:
    StateFile(tmp_path).write(decide.pause(LED, "alice", "drill", 1.0))
    for name in ("state_bus.json", "state_bus.json.bak"):
        (tmp_path / name).write_bytes(b"{")
    desk = desk_with(tmp_path)
    paused = TraderPage(paused=Paused(["breaker:BTCUSDT: open", "pause: alice: drill (orchestrator)"]))
    assert desk._seen(desk.state, {}, {}).pause is None
    assert desk._seen(desk.state, {"trader-a": paused}, {}).reasons[0] == "orchestrator: alice: drill (orchestrator)"
    assert desk._seen(desk.state, {"trader-a": paused}, {}).pause is None  # asked once; from now on the state counts


@pytest.mark.parametrize(
    "page", [b"[]", b'{"leader": {"is_leader": "yes"}}', b'{"paused": {"reasons": 7}}', b'{"leader": null}']
)
def test_a_malformed_page_is_ignored(page: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(page, type=TraderPage)
