"""The audit log of a run: any one changed byte is named by file and line, and nothing else is."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from stormdesk import durable
from stormdesk.core import audit as chains
from stormdesk.core.audit import EVENTS, NAME
from stormdesk.run import audit, gameday
from stormdesk.run.record import Record
from stormdesk.run.run_checks import REPORTS, write_reports
from tests.support.invoking import environ, run_all

RUN = "r-20261121-0312-k3f9"
RECORDED = Path(__file__).parents[1] / "cases" / "histories" / "disk-full"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed run: a recorded one with its reports, to which a person has added a note."""
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "runs" / RUN
    (folder / "outputs").mkdir(parents=True)
    shutil.copytree(RECORDED / "cut", folder / "outputs/cut")
    for name in (EVENTS, "plan.json"):
        shutil.copy(RECORDED / name, folder / name)
    write_reports(folder)
    audit.seal(folder, "run")
    record = Record.reopen(RUN)
    assert record is not None
    record.event("note", text="the disk filled slowly", who="ann")
    record.close("note")
    gameday.report(RUN)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def found(content: dict[str, bytes], head: str = "") -> list[chains.Finding]:
    rest = dict(content)
    return chains.verify(rest.pop(NAME), rest, head)


def test_a_run_is_as_it_was_sealed_also_after_a_note_and_a_new_report(run: Path) -> None:
    whole = files(run)
    assert found(whole) == []
    lines = [json.loads(line) for line in whole[NAME].splitlines()]
    assert {line["file"] for line in lines} == set(whole) - {NAME}
    assert [line["why"] for line in lines[-1 - len(REPORTS) :]] == ["note", *["report"] * len(REPORTS)]
    assert sum(len(line["lines"]) for line in lines if line["file"] == EVENTS) == whole[EVENTS].count(b"\n")


def test_any_one_changed_byte_is_named_and_nothing_else(run: Path, repeats: Callable[..., int]) -> None:
    """`--counts 100` tries 10 000."""
    whole, random = files(run), Random(7)
    names, sizes = zip(*((name, len(data)) for name, data in whole.items() if data), strict=True)
    for number in range(repeats(10_000, 400)):
        (name,) = random.choices(names, sizes) if number % 2 else (random.choice(names),)
        data = bytearray(whole[name])
        place = random.randrange(len(data))
        data[place] = random.choice([byte for byte in (*range(256), 10, 32) if byte != data[place]])
        line = whole[name][:place].count(b"\n") + 1 if name in (EVENTS, NAME) else 0
        said = found(whole | {name: bytes(data)})
        assert [(finding.file, finding.line) for finding in said] == [(name, line)], (place, data[place], said)


@pytest.mark.parametrize("name", [EVENTS, NAME])
def test_the_ends_of_lines_are_bytes_too(run: Path, name: str) -> None:
    whole = files(run)
    for number, place in enumerate((i for i, byte in enumerate(whole[name]) if byte == 10), 1):
        data = bytearray(whole[name])
        data[place] = 32
        assert [(f.file, f.line) for f in found(whole | {name: bytes(data)})] == [(name, number)]


def test_files_and_lines_that_come_or_go_are_named(run: Path) -> None:
    whole = files(run)
    lines = whole[EVENTS].splitlines(keepends=True)
    assert str(*found(whole | {"more.txt": b""})) == "more.txt: is not in the audit log: it was added later"
    less = {name: data for name, data in whole.items() if name != "plan.json"}
    assert str(*found(less)) == "plan.json: is missing"
    assert "events.jsonl:3: altered from this line on: 1 line went" in map(
        str, found(whole | {EVENTS: b"".join(lines[:2] + lines[3:])})
    )
    assert str(*found(whole | {EVENTS: b"".join([*lines, lines[-1]])})).startswith(
        f"{EVENTS}:{len(lines) + 1}: this line is not"
    )
    audits = whole[NAME].splitlines(keepends=True)
    moved = found(whole | {NAME: b"".join([audits[1], audits[0], *audits[2:]])})
    assert {finding.file for finding in moved} == {NAME}
    cut = found(whole | {NAME: b"".join(audits[:3])})
    assert cut, "the files of lost lines must not pass"


def test_a_chain_that_was_made_anew_has_another_head(run: Path) -> None:
    log = (run / NAME).read_bytes()
    head = chains.read(log).head
    (run / EVENTS).write_bytes((run / EVENTS).read_bytes().replace(b"held", b"HELD"))
    (run / NAME).unlink()
    audit.seal(run, "run")
    assert found(files(run)) == []
    assert "it is another chain" in str(*found(files(run), head[:16]))
    earlier = [json.loads(line)["h"] for line in log.splitlines()][2]
    assert chains.verify(log, {}, earlier)[0].why == "is missing", "a head that was kept before a note still counts"


def test_a_note_and_a_report_seal_nothing_that_others_changed(run: Path) -> None:
    (run / "plan.json").write_bytes(b"[]")
    lines = (run / EVENTS).read_bytes().splitlines(keepends=True)
    (run / EVENTS).write_bytes(b"".join([lines[1], *lines[1:]]))
    record = Record.reopen(RUN)
    assert record is not None
    record.event("note", text="me too", who="bob")
    record.close("note")
    said = {(finding.file, finding.line) for finding in found(files(run))}
    assert said == {("plan.json", 0), (EVENTS, 1)}


def test_a_run_that_never_ended_is_judged_by_its_sums(run: Path) -> None:
    (run / NAME).unlink()
    assert audit.verify(run) == ([], "")
    lines = (run / EVENTS).read_bytes().splitlines(keepends=True)
    (run / EVENTS).write_bytes(b"".join([*lines[:4], lines[4].replace(b"1", b"2", 1), *lines[5:]]))
    assert [str(finding) for finding in audit.verify(run)[0]] == [f"{EVENTS}:5: this line was altered or damaged"]
    record = Record.reopen(RUN)
    assert record is not None
    record.close("recover")
    assert not (run / NAME).exists(), "what nobody has sealed is not sealed by somebody else"


def test_a_full_disk_leaves_the_chain_as_it_was(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / NAME).read_bytes()

    def full(fd: int, data: bytes) -> None:
        os.write(fd, data[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_all", full)
        with pytest.raises(OSError, match="No space"):
            audit.seal(run, "report", REPORTS)
    assert (run / NAME).read_bytes() == before
    with (run / NAME).open("ab") as file:
        file.write(before[:40])  # a writer that died
    audit.seal(run, "report", REPORTS)
    assert found(files(run)) == []


def test_gameday_verify_names_the_file_and_the_line(run: Path) -> None:
    words = ["gameday.verify", "--run", RUN]
    head = chains.read((run / NAME).read_bytes()).head
    env = environ(run.parents[1]) | {"STORMDESK_RUNS": str(run.parent)}
    more = [[], ["--head", head, "--json"], ["--head", "x"], ["--head", "0" * 8]]
    good, known, odd, other = run_all([[*words, *each] for each in more], env)
    assert (good.code, good.err) == (0, "")
    assert f"as it was sealed, head {head[:16]}" in good.out
    assert json.loads(known.out) == {"run": RUN, "exit_code": 0, "head": head, "findings": []}
    assert (odd.code, odd.err) == (2, "--head x: 8 to 64 hex digits, as the run printed them\n")
    assert other.code == 1
    data = (run / EVENTS).read_bytes()
    (run / EVENTS).write_bytes(data.replace(b"steady", b"steadz", 1))
    (end,) = run_all([[*words, "--json"]], env)
    line = data[: data.index(b"steady")].count(b"\n") + 1
    assert end.code == 1
    assert json.loads(end.out)["findings"] == [{"file": EVENTS, "line": line, "why": "this line was altered"}]
    (run / NAME).unlink()
    (run / EVENTS).write_bytes(data)
    (never,) = run_all([words], env)
    assert (never.code, "has no audit log" in never.out) == (5, True)


def test_a_disk_that_hangs_holds_up_nobody_for_longer_than_its_patience(run: Path) -> None:
    record = Record(run.with_name("r-2"), "r-2")
    record.event("run.started")
    record._writer.do(lambda: time.sleep(4), 0)
    began = time.monotonic()
    assert record.seal("run") == ("", "the disk does not answer")
    assert time.monotonic() - began < 2
    time.sleep(4)
    assert record.seal("run")[1] == ""
    record.close()
    assert audit.verify(run.with_name("r-2"))[0] == []
