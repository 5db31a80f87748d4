"""The pure parts of the Debian machine's test stand: command lines, pictures, the list, the table. `invoke dev.vm` runs the rest."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from stormdesk.cli import develop
from stormdesk.core.errors import UsageError
from stormdesk.faults import FAULTS
from tests.vm import cases, image, picture, qemu, stage, table, vmlinux
from tests.vm.table import Result
from tests.vm.tools import Tools


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """A folder with programs that are never run."""
    for name in ("bin/qemu-system-x86_64", "bin/qemu-img", "sbin/debootstrap"):
        (tmp_path / "usr" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "usr" / name).touch()
    return Tools(tmp_path)


@pytest.mark.parametrize(
    ("asked", "device", "modules", "expected"),
    [
        ("auto", True, {"kvm_intel", "kvm"}, "kvm"),
        ("auto", True, {"kvm_pvm", "kvm"}, "tcg"),
        ("auto", False, {"kvm"}, "tcg"),
        ("kvm", True, {"kvm_pvm"}, "kvm"),
        ("tcg", True, {"kvm_intel"}, "tcg"),
    ],
)
def test_kvm_is_used_where_the_processor_has_it(asked: str, device: bool, modules: set[str], expected: str) -> None:
    assert qemu.accelerator(asked, device=device, modules=frozenset(modules)) == expected


def test_kvm_without_a_device_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no /dev/kvm"):
        qemu.accelerator("kvm", device=False, modules=frozenset())


def test_nothing_listens_but_on_loopback_and_nothing_gets_out(tools: Tools) -> None:
    words = list(qemu.command(tools, Path("/disks"), Path("/vm"), "tcg", 2222))
    networks = [words[at + 1] for at, word in enumerate(words) if word == "-netdev"]
    assert len(networks) == len(qemu.CARDS)
    for network in networks:
        assert network.startswith("hubport,") or "restrict=on" in network
        assert "hostfwd" not in network or "hostfwd=tcp:127.0.0.1:2222-:22" in network
    assert not any("-vnc" in word or "-monitor" in word for word in words)


def test_the_disks_themselves_are_never_written(tools: Tools) -> None:
    words = " ".join(qemu.command(tools, Path("/disks"), Path("/vm"), "kvm", 2222))
    assert ".img,if=virtio" not in words
    assert "/vm/root.qcow2" in words
    assert "/vm/data.qcow2" in words
    assert "-b /disks/root.img /vm/root.qcow2" in " ".join(qemu.overlay(tools, Path("/disks"), Path("/vm"), "root"))


def test_every_fault_is_in_the_list() -> None:
    used = {case.words[0].removeprefix("chaos.") for case in cases.CASES}
    assert used == set(FAULTS) - {
        "clock-skew",
        "host-reboot",
    }  # none there runs with libfaketime; tests/e2e/test_reboots.py
    names = [case.name for case in cases.CASES]
    assert len(names) == len(set(names))


def test_whether_the_disk_is_full_is_asked_in_words_that_df_takes(tmp_path: Path) -> None:
    asked = cases.FULL.replace("/var/lib/trading", str(tmp_path))
    done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    done = subprocess.run(["sh", "-c", asked.replace("-lt", "-ge")], check=False)
    assert done.returncode == 0


def test_only_runs_what_it_names() -> None:
    assert [case.name for case in cases.chosen(["reboot", "noop"])] == ["reboot", "noop"]
    assert cases.chosen([]) == cases.CASES
    with pytest.raises(ValueError, match="--only nosuch: there is: noop, "):
        cases.chosen(["nosuch"])


ADDRESSES = (
    '[{"ifname": "eth1", "addr_info": [{"local": "10.0.0.1", "prefixlen": 24, "valid_life_time": 60, "metric": 100}]}]'
)
ROUTES = '[{"dst": "default", "gateway": "10.0.0.2"}, {"dst": "default", "gateway": "10.0.0.3"}]'
MOUNTS = '{"filesystems": [{"target": "/data", "source": "/dev/vdb"}, {"target": "/run/user/1000", "source": "tmpfs"}]}'
BEFORE = (
    f"@ address\n{ADDRESSES}\n@ route4\n{ROUTES}\n@ mount\n{MOUNTS}\n@ iptables\n# made today\n:INPUT ACCEPT [3:99]\n"
)


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        ("60", "3600", []),
        ("[3:99]", "[4:160]", []),
        ("made today", "made tomorrow", []),
        ("/run/user/1000", "/run/user/1001", []),
        ('"metric": 100', '"metric": 200', ["- address", "+ address"]),
        ("ACCEPT", "DROP", ["- iptables", "+ iptables"]),
        ("/data", "/elsewhere", ["- mount", "+ mount"]),
        (ROUTES, '[{"dst": "default", "gateway": "10.0.0.2"}]', ["- route4"]),
        (
            ROUTES,
            '[{"dst": "default", "gateway": "10.0.0.3"}, {"dst": "default", "gateway": "10.0.0.2"}]',
            ["~ route4:"],
        ),
    ],
)
def test_a_picture_shows_what_somebody_changed_and_not_what_runs_on(was: str, now: str, found: list[str]) -> None:
    assert was in BEFORE
    lines = picture.differences(picture.parse(BEFORE), picture.parse(BEFORE.replace(was, now)))
    assert [" ".join(line.split()[:2]) for line in lines] == found


def test_a_picture_does_not_see_the_processes_that_take_it() -> None:
    lines = [line for line in picture.SCRIPT.splitlines() if line.startswith(("say()", "say process "))]
    for _ in range(5):
        said = subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout
        assert "[^" not in said


def test_a_section_that_is_missing_is_a_difference() -> None:
    assert picture.differences(picture.parse(BEFORE), picture.parse("")) != []


RESULTS = (
    Result("noop", 12.4),
    Result("reboot", 200.0, "still full", expected="no boot hook"),
    Result("disk-full", 3.0, "exit code 3: a | b"),
)


def test_the_table_tells_a_failure_from_what_was_expected() -> None:
    lines = list(table.rows(RESULTS))
    assert lines[0].split() == ["noop", "12", "s", "held"]
    assert "fails as expected: no boot hook" in lines[1]
    assert "FAILED: exit code 3" in lines[2]
    assert lines[-1] == "1 of 3 held, 1 failed as expected, 1 failed"
    assert [it.good for it in RESULTS] == [True, True, False]


def test_what_was_expected_to_fail_and_holds_is_told() -> None:
    held = Result("reboot", 100.0, expected="no boot hook")
    assert held.good
    assert held.word == "held, although it was expected to fail: no boot hook"


def test_the_section_for_the_docs_is_a_table() -> None:
    text = list(table.markdown(RESULTS, "By TCG."))
    assert text[0].startswith("## ")
    assert text[2] == "By TCG."
    assert all(line.count("|") == 4 for line in text[4:])


def lz4(*chunks: bytes) -> bytes:
    return vmlinux.MAGIC + b"".join(struct.pack("<I", len(chunk)) + chunk for chunk in chunks)


# 15 + 3 literals; then ten bytes copied from four back, longer than that distance; then literals to the end.
CHUNK = b"\xf6\x03\x7fELF" + b"a" * 14 + b"\x04\x00" + b"\x30end"


def test_a_kernel_is_unpacked() -> None:
    content = vmlinux.ELF + b"a" * 24 + b"end"
    assert vmlinux.unpack(b"boot code" + lz4(CHUNK) + b"tail") == content
    assert vmlinux.unpack(vmlinux.MAGIC + b"junk" + lz4(CHUNK, b"\x50again")) == content + b"again"
    with pytest.raises(ValueError, match="no kernel compressed by LZ4"):
        vmlinux.unpack(b"boot code" + vmlinux.MAGIC + b"\x01\x00\x00\x00\xff")


HELD = (
    'info recover ok=true text="steady again"',
    'info verdict exit_code=0 verdict=held residue=clean why="hypothesis held"',
)
LATE = (
    'info recover ok=false text="not within 30 s"',
    'info verdict exit_code=1 verdict=violated residue=clean why="I-09"',
)

LATE_WATCHDOG = (
    'info verdict exit_code=4 verdict=held residue=clean why="a was reverted by watchdog, 4560 ms late, which was not planned"',
)


@pytest.mark.parametrize(
    ("said", "late"),
    [
        (LATE, True),
        (LATE_WATCHDOG, True),
        ((LATE_WATCHDOG[0].replace("clean", "dirty"),), False),
        (HELD, False),
        ((LATE[0], "info check ok=false", LATE[1]), False),
        ((LATE[0], LATE[1].replace("clean", "dirty")), False),
        ((), False),
    ],
)
def test_only_a_late_recovery_is_forgiven_a_slow_machine(said: tuple[str, ...], late: bool) -> None:
    stamped = [f"2026-11-28T07:26:01Z {line}" for line in said]
    assert stage.only_late(stamped) is late


def test_what_goes_on_from_a_boot_has_the_command_line_of_that_boot(tools: Tools, tmp_path: Path) -> None:
    def named(accel: str, disks: str) -> str:
        return image.booted(tmp_path / disks, tools, accel).name

    assert named("tcg", "disks-1") == named("tcg", "disks-1")
    assert len({named("tcg", "disks-1"), named("kvm", "disks-1"), named("tcg", "disks-2")}) == 3


@pytest.mark.parametrize(("said", "code"), [(0, 0), (1, 1), (2, 2), (77, 3), (-9, 1)])
def test_skipped_is_not_passed(monkeypatch: pytest.MonkeyPatch, said: int, code: int) -> None:
    typed: list[tuple[str, ...]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        typed.append(tuple(words[1:]))
        return subprocess.CompletedProcess(words, said)

    monkeypatch.setattr(develop.subprocess, "run", run)
    assert develop.vm("noop", "tcg", keep=True) == code
    assert typed == [("-m", "tests.vm", "--only", "noop", "--accel", "tcg", "--keep")]


def test_an_accelerator_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--accel hvf: it must be one of auto, tcg, kvm"):
        develop.vm("", "hvf", keep=False)
