"""What a runbook's steps do to the stack: options with the run's id, restarts that are claimed, tasks that must be refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stormdesk.core.errors import ExitCode, HostError, UsageError
from stormdesk.core.schedule import Act
from stormdesk.desk import acts, state_files
from stormdesk.run.aside import Acted, Aside
from stormdesk.run.operate import Report
from stormdesk.run.run_checks import restarts
from stormdesk.ssh.pool import Pool
from stormdesk.testnet.ledger import chain

POOL = cast(Pool, None)


def report(code: ExitCode, **document: Any) -> Report:
    return Report(code, ("said",), document)


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The tasks that may be done, as a test decides."""
    known: dict[str, Any] = {"stack.refused": acts.ACTS["stack.refused"]}
    monkeypatch.setattr(acts, "ACTS", known)
    return known


def test_the_name_of_a_signal_may_have_the_run_in_it_and_restarts_are_remembered() -> None:
    asked: list[Mapping[str, str]] = []

    def acting(_: Pool, act: Act) -> Acted:
        asked.append(act.options)
        return Acted("done", (("trader-a", "trader"),))

    written: list[dict[str, Any]] = []
    record: Any = SimpleNamespace(run_id="r-1", event=lambda name, **values: written.append({name: values}))
    show: Any = SimpleNamespace(phase=lambda *_, **__: None)
    aside = Aside(POOL, record, show, acting)
    aside.act("one", Act("stack.signal", {"signal": "again-{run}"}))
    assert asked == [{"signal": "again-r-1"}]
    assert written[0]["act"]["options"] == {"signal": "again-r-1"}
    assert aside.restarted == [("trader-a", "trader")]


def test_restarts_by_faults_and_by_people_add_up() -> None:
    claims = [("trader-a", "trader", 1, 2), ("trader-a", "trader", 1, 1), ("store", "redis", 0, 1)]
    assert restarts(claims) == {"trader-a": {"trader": (2, 3)}, "store": {"redis": (0, 1)}}


def test_a_restart_names_the_service_of_each_host_that_came_back(tasks: dict[str, Any]) -> None:
    tasks["stack.restart"] = lambda _, service: report(ExitCode.HELD, restarted={"a": True, "b": False})
    done = acts.perform(POOL, Act("stack.restart", {"service": "trader"}))
    assert done == Acted("said", (("a", "trader"),))


@pytest.mark.parametrize("code", [ExitCode.VIOLATED, ExitCode.REFUSED])
def test_what_must_be_refused_and_is_refused_has_come_about(code: ExitCode, tasks: dict[str, Any]) -> None:
    tasks["stack.pause"] = lambda _, by: report(code)
    act = Act("stack.refused", {"task": "stack.pause", "by": "ann"})
    assert acts.perform(POOL, act).said.startswith("stack.pause: refused")


def test_what_must_be_refused_and_is_done_has_not_come_about(tasks: dict[str, Any]) -> None:
    tasks["stack.pause"] = lambda _, by: report(ExitCode.HELD)
    with pytest.raises(HostError, match="should have been refused"):
        acts.perform(POOL, Act("stack.refused", {"task": "stack.pause", "by": "ann"}))
    with pytest.raises(UsageError, match=r"no task 'stack\.pase'"):
        acts.perform(POOL, Act("stack.refused", {"task": "stack.pase"}))


def shown(files: Mapping[str, str], service: str = "trader") -> Report:
    """What is said of a host whose files have these texts."""
    host = SimpleNamespace(paths={"data": "/d"}, services={service: None})
    text = "".join(f"@@ /d/{service}/{name}\n{text}\n" for name, text in files.items())
    ran = SimpleNamespace(stdout=text)
    pool: Any = SimpleNamespace(inventory=SimpleNamespace(hosts={"h": host}), run=lambda *_: ran)
    return state_files.state_files(pool)


def test_a_state_file_that_is_torn_is_named_and_so_is_a_host_without_any() -> None:
    whole = '{"closed": {}}'
    assert shown({"execution/repeats_state.json": whole}).lines == ("h: 1 state files, each whole",)
    for torn in (whole[:-1], "", '{"closed": 1}', '{"closed": {}, "more": 1}'):
        said = shown({"execution/repeats_state.json": torn})
        assert said.exit_code is ExitCode.VIOLATED
        assert "repeats_state.json: " in said.lines[0]
    assert shown({}).lines == ("h: no state file was found",)
    assert shown({}).exit_code is ExitCode.VIOLATED


def ledger(text: str, aside: str = "") -> Report:
    """What is said of a trader whose ledger is this text, and its quarantine that."""
    host = SimpleNamespace(name="a", paths={"data": "/d"})

    def run(_: str, argv: tuple[str, str], __: float) -> Any:
        return SimpleNamespace(ok=True, stdout=aside if argv[1].endswith("quarantine") else text, stderr="")

    pool: Any = SimpleNamespace(inventory=SimpleNamespace(role=lambda _: [host]), run=run)
    return state_files.ledgers(pool)


def test_a_ledger_whose_chain_does_not_hold_is_named() -> None:
    lines, head = "", chain.GENESIS
    for number in (1, 2):
        line = chain.seal({"t": 1.0, "kind": "DONE", "client_order_id": f"x-{number}", "state": "FILLED"}, number, head)
        lines, head = lines + chain.encode(line).decode(), line["h"]
    assert ledger(lines).lines == ("a: 2 lines, the chain holds",)
    for damaged in (lines.replace("x-1", "x-3"), lines[:-9], "", lines + "~\n", lines.partition("\n")[2]):
        assert ledger(damaged).exit_code is ExitCode.VIOLATED, damaged
    assert (
        ledger(lines + "~\n", f'{{"offset":{len(lines)},"why":"not JSON","raw":"fg=="}}\n').exit_code is ExitCode.HELD
    )
