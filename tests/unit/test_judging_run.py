"""The checks of a run, and the same checks with pytest: the same verdict, reason and report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import pytest

from stormdesk.checks import run as by_pytest
from stormdesk.core.errors import ConnectFailed
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost, ServiceEntry
from stormdesk.core.model import Argv, CheckResult, Completed, Verdict
from stormdesk.evidence import judging_run, junit
from stormdesk.evidence.gathered import Evidence
from stormdesk.evidence.judging_run import CHECKS
from stormdesk.run.judge import judge
from stormdesk.ssh.testinfra_backend import pooled
from tests.unit.histories import Files, document, grown, of_kind, rows, write, write_journal

Row = tuple[str, str, str, str, str]  # file, test, check, verdict, reason


def intent_missing(files: Files) -> None:
    lines = rows(files, "ledger-trader-a.jsonl")
    lines.remove(of_kind(lines, "INTENT")[5])
    write(files, "ledger-trader-a.jsonl", lines)


def trade_missing(files: Files) -> None:
    lines = rows(files, "venue.jsonl")
    lines.remove(of_kind(lines, "TRADE")[3])
    write_journal(files, lines)


def fills_unread(files: Files) -> None:
    del files["fills.jsonl"]


def no_fault(files: Files) -> None:
    document(files, "meta.json", lambda meta: meta.update(fault=None, recovery=None))


def no_cut(files: Files) -> None:
    files.clear()


def truth(files: Files) -> None:
    del files


CHANGES = (truth, intent_missing, trade_missing, fills_unread, no_fault, no_cut)


def reported(report: Path) -> list[Row]:
    found = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  our own file
        told = {entry.get("name"): entry.get("value", "") for entry in case.iter("property")}  # as pytest writes it
        told |= dict(line.split(": ", 1) for line in case.findtext("system-out", "").splitlines())  # as we do
        ended = {child.tag: child.get("message", "") for child in case if child.tag not in ("properties", "system-out")}
        how = "skipped" if "skipped" in ended else told.get("verdict", "no verdict")
        why = told.get("why") or next(iter(ended.values()), "")
        found.append((case.get("classname", ""), case.get("name", ""), told.get("check", ""), how, why))
    return found


def counted(report: Path) -> dict[str, str | None]:
    suite = next(ElementTree.parse(report).iter("testsuite"))  # noqa: S314  our own file
    return {key: suite.get(key) for key in ("name", "errors", "failures", "skipped", "tests")}


def both(evidence: Callable[[], Evidence], tmp_path: Path) -> tuple[list[CheckResult], list[CheckResult]]:
    """What pytest and what the run find; their reports say the same, test by test."""
    what = list(CHECKS)
    files = [Path(by_pytest.__file__).parent / name for group in what for name in by_pytest.FILES[group]]
    by_session = by_pytest.session(evidence(), what, files, tmp_path / "session.xml")
    answers = judging_run.answers(evidence(), what)
    (tmp_path / "called.xml").write_bytes(junit.document(answers, (), "2026-01-01T00:00:00+00:00", 1.0, "here"))
    session, called = reported(tmp_path / "session.xml"), reported(tmp_path / "called.xml")
    assert sorted(called) == sorted(session)
    assert len(called) >= 24
    assert counted(tmp_path / "called.xml") == counted(tmp_path / "session.xml")
    return by_session, [answer.result for answer in answers if answer.result]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_pytest_and_a_run_find_the_same_in_a_cut(change: Callable[[Files], None], tmp_path: Path) -> None:
    files = grown()
    change(files)
    folder = tmp_path / "cut"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    by_session, called = both(lambda: Evidence(folder), tmp_path)
    assert plain(called) == plain(by_session)
    alarms = {result.verdict for result in called} - {Verdict.HELD}
    assert bool(alarms) == (change not in (truth, no_fault))


def plain(results: list[CheckResult]) -> dict[str, tuple[Verdict, str, dict[str, int]]]:
    assert len({result.id for result in results}) == len(results)
    return {result.id: (result.verdict, result.why, dict(result.sources)) for result in results}


SERVICES = {"engine": ServiceEntry(user="root", manager="supervisor", ports={"http": 8000})}
HOSTS = {
    name: InventoryHost(
        name=name, role="engine", address="192.0.2.1", host_key="ssh-ed25519 AAAA", identity_file="/k",
        services=SERVICES, paths={"data": "/data"},
    )
    for name in ("one", "two")
}  # fmt: skip
INVENTORY = Inventory(version=VERSION, environment="desk", hosts=HOSTS)


def silent(*_: object) -> NoReturn:
    raise ConnectFailed("nobody")


def no_tools(host: str, argv: Argv, deadline_s: float) -> Completed:
    """A host on which testinfra finds nothing it can ask."""
    del host, deadline_s
    return Completed(argv, 1, "", "not found")


@pytest.mark.parametrize("run", [silent, no_tools])
def test_pytest_and_a_run_find_the_same_on_hosts(run: Callable[..., Completed], tmp_path: Path) -> None:
    folders = iter(["one", "two"])
    by_session, called = both(lambda: Evidence(tmp_path / next(folders), INVENTORY, run, pooled(HOSTS, run)), tmp_path)
    assert plain(called) == plain(by_session)
    assert {"ports one", "ports two", "disk", "I-13"} <= set(plain(called))
    assert {result.verdict for result in called} == {Verdict.UNKNOWN}
    assert all("\n" not in result.why for result in called)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    text = "import pytest\ndef test_up(where):\n    assert where == 'one', 'down'\n@pytest.mark.invariant\ndef test_always(): pass\n"
    (folder / "test_engine.py").write_text(text)
    return folder


def test_a_projects_own_checks_run_as_before_and_stand_in_the_same_report(own: Path, tmp_path: Path) -> None:
    results = judge(INVENTORY, silent, ["steady"], tmp_path / "cut", own=[own], report=tmp_path / "junit.xml")
    found = {result.id: result.verdict for result in results}
    assert (found["engine.up[one]"], found["engine.up[two]"]) == (Verdict.HELD, Verdict.VIOLATED)
    assert "engine.always" not in found
    assert "disk" in found
    tests = [(file, name) for file, name, *_ in reported(tmp_path / "junit.xml")]
    assert {("test_steady", "test_disk"), ("test_steady", "test_ports[one]")} < set(tests)
    assert [name for _, name in tests[-2:]] == ["test_up[one]", "test_up[two]"]
    after = judge(INVENTORY, silent, ["invariants"], tmp_path / "cut", own=[own])
    assert [(result.id, result.verdict) for result in after] == [("engine.always", Verdict.HELD)]


def test_without_checks_of_its_own_a_run_starts_no_pytest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a pytest session")

    monkeypatch.setattr(by_pytest.pytest, "main", never)
    assert judge(INVENTORY, silent, ["steady", "residue"], tmp_path / "cut", own=[])


def test_a_report_that_cannot_be_written_is_unknown_and_no_error(tmp_path: Path) -> None:
    results = judge(INVENTORY, silent, ["residue"], tmp_path / "cut", own=[], report=tmp_path / "no" / "such" / "x.xml")
    assert results[-1].id == "checks"
    assert results[-1].verdict is Verdict.UNKNOWN
    assert "x.xml was not written" in results[-1].why


def test_what_xml_cannot_carry_is_replaced(tmp_path: Path) -> None:
    answer = judging_run.Answer("test_a", "test_b", CheckResult("b", Verdict.VIOLATED, "bad \x00\x1b\ud800 <&> é"))
    (tmp_path / "x.xml").write_bytes(junit.document([answer], (), "", 0.0, ""))
    assert reported(tmp_path / "x.xml") == [("test_a", "test_b", "b", "violated", "bad ??? <&> é")]
