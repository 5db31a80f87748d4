"""The run record on full, read-only, missing and slow disks: nothing raises, nothing is torn, nothing is lost silently."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stormdesk.core import journal
from stormdesk.core.errors import HostError, RefusedError
from stormdesk.core.states import Stuck, row
from stormdesk.host import probe
from stormdesk.run import lines
from stormdesk.run.record import Record, load

RUN = "r-20261121-0312-k3f9"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, runs: Path) -> Iterator[Path]:
    """A file system of its own as runs/: 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts")
    runs.mkdir()
    source, options = "tmpfs", "size=4m"
    if request.param == "ext4":
        image = runs.with_name("image")
        with image.open("wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True, timeout=30)
        source, options = str(image), "loop"
    subprocess.run(["mount", "-t", request.param, "-o", options, source, runs], check=True, timeout=10)
    try:
        yield runs
    finally:
        subprocess.run(["umount", "-l", runs], check=True, timeout=10)


def fill(disk: Path) -> Path:
    """Take the last byte."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return ballast


def ours(folder: Path) -> list[int]:
    """Descriptors of this process that are open on something in a folder."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith(str(folder)):
                found.append(int(fd))
    return found


def names(folder: Path) -> list[str]:
    return [event["event"] for event in load(folder)]


def whole(folder: Path) -> None:
    """Every line is good, and they are numbered without a gap."""
    data = (folder / "events.jsonl").read_bytes()
    assert data.endswith(b"\n")
    events = [journal.decode(line) for line in data.splitlines()]
    assert None not in events
    assert [event["seq"] for event in events if event] == list(range(1, len(events) + 1))


# ---- C30: before a host is touched ------------------------------------------------------------------------------------


def refused(folder: Path, why: str) -> None:
    record = Record(folder, RUN)
    record.event("run.started")
    with pytest.raises(RefusedError) as caught:
        record.intent(host="trader-a")
    record.close()
    said = str(caught.value)
    assert why in said
    assert "Nothing was changed" in said
    assert len(said.splitlines()) == 1


def test_case_C30_a_run_is_refused_while_its_record_has_no_room(disk: Path) -> None:
    ballast = fill(disk)
    refused(disk / RUN, "No space left on device")
    ballast.unlink()
    record = Record(disk / RUN, RUN)
    record.intent(host="trader-a")
    record.close()
    assert names(disk / RUN) == ["S1.intent"]


def test_case_C30_a_run_is_refused_on_a_read_only_disk(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=10)
    refused(disk / RUN, "Read-only file system")


def test_case_C30_a_run_is_refused_where_a_file_is_in_the_way(runs: Path) -> None:
    runs.write_text("a file")
    refused(runs / RUN, "File exists")
    runs.unlink()
    runs.mkdir()
    (runs / RUN).mkdir()
    (runs / RUN / "events.jsonl").mkdir()
    refused(runs / RUN, "Is a directory")


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_case_C30_a_run_is_refused_when_the_disk_fails_at_the_intent(
    call: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    record = Record(runs / RUN, RUN)
    record.event("run.started")
    record.require()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(RefusedError, match="Input/output error"):
        record.intent(host="trader-a")


# ---- C30: in the middle of a run --------------------------------------------------------------------------------------


def deleted(folder: Path) -> Callable[[], None]:
    shutil.rmtree(folder)
    return lambda: None


def replaced(folder: Path) -> Callable[[], None]:
    shutil.rmtree(folder)
    folder.write_text("somebody's")
    return folder.unlink


def moved(folder: Path) -> Callable[[], None]:
    folder.rename(folder.with_name("old"))
    return lambda: None


def begun(folder: Path) -> Record:
    record = Record(folder, RUN)
    record.event("run.started")
    record.write("plan.json", "[]")
    record.intent(host="trader-a")
    return record


def heals(record: Record) -> None:
    """All that a run says while it heals, in no time."""
    began = time.monotonic()
    for number in range(200):
        record.event("sample", text="x" * 1000, number=number)
    record.write("scripts/late.sh", "x" * 10000)
    record.event("S7.revert", host="trader-a")
    assert time.monotonic() - began < 3
    record.event("S8.verified", host="trader-a", clean=True)
    record.event("S9.cleared", host="trader-a")


WANTED = ["run.started", "S1.intent", *["sample"] * 200, "S7.revert", "S8.verified", "S9.cleared"]


def test_case_C30_a_disk_that_is_full_in_mid_run_costs_nothing_once_it_has_room_again(disk: Path) -> None:
    record = begun(disk / RUN)
    ballast = fill(disk)
    heals(record)
    assert "No space left" in record.error
    ballast.unlink()
    record.event("verdict")
    assert record.settle() == ""
    record.close()
    assert names(disk / RUN) == [*WANTED, "verdict"]
    whole(disk / RUN)
    assert (disk / RUN / "scripts/late.sh").stat().st_size == 10000


def test_case_C30_what_has_no_room_is_written_elsewhere_and_that_is_said(disk: Path) -> None:
    record = begun(disk / RUN)
    fill(disk)
    heals(record)
    assert names(Path(disk / RUN))[:2] == WANTED[:2]  # what is there stays readable: no half line
    said = record.settle()
    assert len(said.splitlines()) == 1
    assert "is incomplete: No space left on device" in said
    assert str(record.home) in said
    assert names(record.home) == WANTED
    whole(record.home)
    assert (record.home / "plan.json").read_text() == "[]"
    assert not record.place("outputs/cut").is_relative_to(disk)
    record.close()
    shutil.rmtree(record.home.parent)


@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
def test_case_C30_a_disk_that_fails_and_turns_read_only_in_mid_run(disk: Path) -> None:
    record = begun(disk / RUN)
    subprocess.run(["mount", "-o", "remount,abort", disk], check=False, timeout=10)
    heals(record)
    assert "is incomplete: Read-only file system" in record.settle()
    assert names(record.home) == WANTED
    record.close()
    shutil.rmtree(record.home.parent)


@pytest.mark.parametrize("harm", [deleted, moved])
def test_case_C30_a_folder_that_is_taken_away_is_made_again(harm: Callable[[Path], Any], runs: Path) -> None:
    record = begun(runs / RUN)
    harm(runs / RUN)
    heals(record)
    assert record.settle() == ""
    record.close()
    assert names(runs / RUN) == WANTED
    whole(runs / RUN)
    assert (runs / RUN / "plan.json").read_text() == "[]"


def test_case_C30_a_file_in_the_place_of_the_folder(runs: Path) -> None:
    record = begun(runs / RUN)
    mend = replaced(runs / RUN)
    heals(record)
    assert "is incomplete" in record.settle()
    assert names(record.home) == WANTED
    shutil.rmtree(record.home.parent)
    mend()
    record.event("verdict")
    assert record.settle() == ""
    record.close()
    assert names(runs / RUN) == [*WANTED, "verdict"]


def test_case_C30_a_descriptor_that_somebody_closed_or_took(runs: Path, tmp_path: Path) -> None:
    record = begun(runs / RUN)
    (mine,) = ours(runs)
    os.close(mine)
    heals(record)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    (again,) = ours(runs)
    os.dup2(other, again)
    record.event("verdict")
    assert record.settle() == ""
    record.close()
    assert os.fstat(again)  # it is theirs
    assert (tmp_path / "other").read_bytes() == b""
    assert names(runs / RUN) == [*WANTED, "verdict"]
    os.close(other)
    os.close(again)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE])
def test_case_C30_a_write_that_fails_is_tried_again_and_leaves_no_half_line(
    number: int, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = begun(runs / RUN)
    write, count = os.write, iter(range(10**6))

    def fails_now_and_then(fd: int, data: Any) -> int:
        """Takes a part of the data; each third time nothing."""
        if next(count) % 3 == 2:
            raise OSError(number, os.strerror(number))
        return write(fd, data[: max(1, len(data) // 2)])

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", fails_now_and_then)
        heals(record)
    record.event("verdict")
    assert record.settle() == ""
    record.close()
    assert names(runs / RUN) == [*WANTED, "verdict"]
    whole(runs / RUN)


def test_case_C30_a_disk_that_hangs_keeps_nobody_from_healing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = begun(runs / RUN)
    go_on = threading.Event()
    monkeypatch.setattr(lines.Lines, "flush", lambda *_, **__: go_on.wait(60))
    began = time.monotonic()
    record.event("S7.revert", host="trader-a")
    assert time.monotonic() - began < 0.2
    record.event("S8.verified", host="trader-a")
    said = record.settle()
    assert "does not answer" in said
    assert time.monotonic() - began < 5
    go_on.set()


def test_case_C30_a_hanging_disk_is_not_waited_for_at_the_end_of_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, threading, time; from pathlib import Path; from stormdesk.run import lines, record\n"
        "it = record.Record(Path(sys.argv[1]) / 'r-1', 'r-1'); it.intent(host='a')\n"
        "lines.Lines.flush = lambda *_, **__: time.sleep(600)\n"
        "it.event('S7.revert'); it.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], timeout=20, check=True)


def test_case_C30_a_signal_in_the_middle_of_an_event_leaves_no_lock(runs: Path) -> None:
    from stormdesk.ssh.signals import Interrupted, Signals

    record = begun(runs / RUN)
    for number in range(50):
        with Signals(), contextlib.suppress(Interrupted):
            timer = threading.Timer(
                0.0002 * number, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            )
            timer.start()
            for _ in range(50):
                record.event("sample", number=number)
            timer.join()
    record.event("verdict")
    assert record.settle() == ""
    whole(runs / RUN)
    record.close()


# ---- C31: a record that is opened again -------------------------------------------------------------------------------

TAILS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "torn": (lambda line: line[: len(line) // 2], 2),
    "one byte": (lambda line: line[:1], 2),
    "whole, without its newline": (lambda line: line[:-1], 3),
    "zeros": (lambda line: b"\0" * 4096, 2),
    "torn, then zeros": (lambda line: line[:20] + b"\0" * 100, 2),
    "whole, then zeros": (lambda line: line[:-1] + b"\0" * 100, 3),
    "nothing": (lambda line: b"", 2),
    "long": (lambda line: b'{"event":"' + b"x" * 300_000, 2),
}


@pytest.mark.parametrize("tail", TAILS)
def test_case_C31_a_torn_tail_is_cut_before_anything_is_added(tail: str, runs: Path) -> None:
    begun(runs / RUN).close()
    file = runs / RUN / "events.jsonl"
    spoil, kept = TAILS[tail]
    line = journal.encode({"seq": 3, "t": 1.0, "run": RUN, "event": "sample"})
    file.write_bytes(file.read_bytes() + spoil(line))
    for count in (1, 2):
        record = Record.reopen(RUN)
        assert record is not None
        record.event("S8.verified", host="trader-a", clean=True)
        record.close()
        assert len(names(runs / RUN)) == kept + count
        whole(runs / RUN)


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b'{"seq":1'])
def test_case_C31_a_record_without_a_single_line(content: bytes, runs: Path) -> None:
    (runs / RUN).mkdir(parents=True)
    (runs / RUN / "events.jsonl").write_bytes(content)
    record = Record.reopen(RUN)
    assert record is not None
    record.event("S8.verified", host="trader-a")
    record.close()
    assert names(runs / RUN) == ["S8.verified"]
    whole(runs / RUN)


def test_case_C31_a_damaged_record_does_not_keep_anybody_from_adding_to_it(runs: Path) -> None:
    begun(runs / RUN).close()
    file = runs / RUN / "events.jsonl"
    file.write_bytes(b"garbage\n" + file.read_bytes())
    record = Record.reopen(RUN)
    assert record is not None
    record.event("S8.verified", host="trader-a")
    record.close()
    assert file.read_bytes().startswith(b"garbage\n")
    assert file.read_bytes().count(b"S8.verified") == 1


def test_case_C31_two_processes_that_write_at_once(runs: Path) -> None:
    """The owner is alive, and somebody reverts its run from another terminal."""
    owner = begun(runs / RUN)
    code = (
        "import sys; from stormdesk.run.record import Record\n"
        "it = Record.reopen(sys.argv[1])\n"
        "for n in range(100): it.event('note', text='x' * 500, who='other', n=n)\n"
        "it.close()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, RUN], env=dict(os.environ))
    for number in range(100):
        owner.event("note", text="y" * 500, who="owner", n=number)
        time.sleep(0.002)
    assert other.wait(30) == 0
    assert owner.settle() == ""
    owner.close()
    whole(runs / RUN)
    for who in ("owner", "other"):
        assert [event["n"] for event in load(runs / RUN) if event.get("who") == who] == list(range(100))


def test_a_host_record_cut_off_at_any_byte_is_an_earlier_one() -> None:
    """Never a state that was not written: an answer that ends in a word is an error, or a word that needs a person."""
    lines = [
        "10 INTENT fault=noop deadline=9", "20 ARMED oom=0", "30 ACKED a=1.1 b=2.2", "40 INJECTING injected_at=40", "50 INJECTED",
        "60 CONFIRMED seen", "70 REVERTING by=watchdog", "80 REVERTED late_cs=0",
    ]  # fmt: skip
    text = f"run {RUN} /run/stormdesk\n" + "".join(f"line {line}\n" for line in lines)
    written = {"", *(line.split()[1] for line in lines)}
    for length in range(len(text)):
        try:
            found = probe.records(text[:length])
        except HostError:
            continue
        for one in found:
            assert one.state in written or row(one.state).stuck is Stuck.ALWAYS, (length, one.state)
            assert one.state != "REVERTED" or length >= text.index("REVERTED") + len("REVERTED")
