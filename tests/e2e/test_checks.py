"""The checks on a lab that trades: no alarm while it is healthy, and each planted difference is found.

Every plant is taken away again; what a test changes on a host it changes back.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stormdesk.checks.run import run_checks
from stormdesk.core.errors import ConnectionLost, DeadlineExceeded
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, CheckResult, Completed, Verdict
from stormdesk.desk.http_services import Services
from stormdesk.evidence import find_residue, take_cut
from stormdesk.evidence.judges import JUDGES
from stormdesk.infra import dialing, existing
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.testinfra_backend import pooled

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
ALL_THE_TIME = {f"I-{number:02}" for number in (1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 14)} | {"leader", "orders flow"}
WHAT = ("steady", "invariants", "residue")


@pytest.fixture(scope="module")
def pool(lab: str) -> Iterator[Pool]:
    inventory = existing.load(lab)
    with Pool(inventory, dialing.dialer(inventory)) as pool:
        until = time.monotonic() + 60
        while time.monotonic() < until and _journal(pool, inventory, "TRADE") < 16:  # the floors of the judges
            time.sleep(0.5)
        yield pool


def _journal(pool: Pool, inventory: Inventory, kind: str) -> int:
    """How many lines of a kind the venue has in its journal."""
    port = inventory.hosts["venue"].services["venue"].ports["control"]
    address = inventory.hosts["venue"].networks["mgmt"].address.partition("/")[0]
    url = f"http://{address}:{port}/journal?since=0"
    done = pool.run("venue", ("sh", "-c", 'curl -s "$1" | grep -c "$2"', "sh", url, kind), 10)
    return int(done.stdout or 0)


def _leader(pool: Pool) -> str:
    """The host whose trader leads, by its own word."""
    services = Services(pool)
    pages = services.get("trader", "/health", services.hosts("trader"))
    (leader,) = (host for host, page in pages.items() if page.document["leader"]["is_leader"])
    return leader


def shell(pool: Pool, host: str, script: str) -> str:
    done = pool.run(host, ("sh", "-c", script), 15)
    assert done.ok, done.stderr
    return done.stdout


def psql(pool: Pool, statement: str) -> None:
    argv = ("setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "psql", "-h", "/run/postgresql",
            "-Xqd", "trading", "-c", statement)  # fmt: skip
    done = pool.run("store", argv, 15)
    assert done.ok, done.stderr


@contextmanager
def planted(pool: Pool, host: str, plant: str, away: str) -> Iterator[None]:
    shell(pool, host, plant)
    try:
        yield
    finally:
        shell(pool, host, away)


def alarms(results: list[CheckResult]) -> dict[str, CheckResult]:
    return {result.id: result for result in results if result.verdict is not Verdict.HELD}


def test_no_alarm_on_a_healthy_stack(pool: Pool, tmp_path: Path, repeats: Callable[..., int]) -> None:
    for number in range(repeats(100, 3)):
        results = run_checks(pool.inventory, pool.run, WHAT, tmp_path / str(number), junit=tmp_path / "junit.xml")
        assert alarms(results) == {}
        found = {result.id for result in results}
        assert found >= ALL_THE_TIME


def test_trading_goes_on_after_a_cut(pool: Pool, tmp_path: Path, repeats: Callable[[int], int]) -> None:
    for number in range(repeats(20)):
        found = take_cut.take(pool.run, pool.inventory, tmp_path / str(number))
        assert found.meta
        assert found.meta.drain_s is not None
        assert found.meta.hold.ended - found.meta.hold.started < 20
        assert alarms(run_checks(pool.inventory, pool.run, ["steady"], tmp_path)) == {}


def test_scenario_L_10_processor_and_memory_are_short_on_the_leaders_host(pool: Pool, tmp_path: Path) -> None:
    """Two loops that never wait, and a process that takes memory until the host has none: it is killed, and the desk trades."""
    before = _journal(pool, pool.inventory, "ACCEPTED")
    busy = "timeout 8 sh -c 'while :; do :; done'"
    script = f"{busy} & {busy} & tail /dev/zero; echo $?; wait %1; echo $?; wait %2; echo $?"
    codes = shell(pool, _leader(pool), script).split()
    assert codes == ["137", "124", "124"]  # for want of memory; at their time
    assert _journal(pool, pool.inventory, "ACCEPTED") > before + 5
    assert alarms(run_checks(pool.inventory, pool.run, WHAT, tmp_path)) == {}


def test_plain_pytest_over_ssh(pool: Pool, lab_home: str) -> None:
    folder = Path(lab_home) / "envs" / pool.inventory.environment
    hosts = ",".join(f"ssh://{name}" for name in pool.inventory.hosts)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "checks/", "-q", "-rs"]
    for words in ([f"--hosts={hosts}", f"--ssh-config={folder}/ssh_config"], [f"--inventory={folder}/inventory.json"]):
        done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout
        left_out = set(re.findall(r"(I-\d\d|refusals): this cut has nothing", done.stdout))
        assert left_out <= {"I-07", "I-09", "I-10", "I-17", "I-19", "I-21", "refusals"}, done.stdout


def test_a_stopped_service_is_found(pool: Pool, tmp_path: Path) -> None:
    with planted(pool, "ops", "supervisorctl stop prober", "supervisorctl start prober"):
        found = alarms(run_checks(pool.inventory, pool.run, ["steady"], tmp_path))
    assert found["services ops"].verdict is Verdict.VIOLATED
    assert found["services ops"].why == "not running: prober"
    assert found["ports ops"].verdict is Verdict.VIOLATED
    assert set(found) == {"services ops", "ports ops"}


def test_a_stack_that_does_not_trade_is_found(pool: Pool, tmp_path: Path) -> None:
    hold, resume = (f"curl -sf -X POST http://127.0.0.1:8000/{word}" for word in ("hold", "resume"))
    with planted(pool, "trader-a", hold, resume), planted(pool, "trader-b", hold, resume):
        found = alarms(run_checks(pool.inventory, pool.run, ["steady"], tmp_path))
    assert found["orders flow"].verdict is Verdict.VIOLATED
    assert "no order accepted in 5 s" in found["orders flow"].why


PLANTS = {
    "file": ("trader-b", "touch /var/lib/trading/.stormdesk-r-1", "rm /var/lib/trading/.stormdesk-r-1", ".stormdesk-r-1"),
    "record": ("store", "mkdir -p /run/stormdesk/r-1", "rmdir -p /run/stormdesk/r-1 2>/dev/null; :", "record /run/stormdesk/r-1"),
    "process": (
        "ops", "sh -c 'sleep 60; : /run/stormdesk/r-1/watchdog.sh' >/dev/null 2>&1 & echo $! >/run/plant",
        "kill $(cat /run/plant); rm /run/plant", "stormdesk/r-1/watchdog.sh",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("host", "plant", "away", "named"), PLANTS.values(), ids=PLANTS)
def test_residue_is_found(pool: Pool, tmp_path: Path, host: str, plant: str, away: str, named: str) -> None:
    with planted(pool, host, plant, away):
        found = run_checks(pool.inventory, pool.run, ["residue"], tmp_path)
    assert [(r.id, r.verdict) for r in found] == [("I-13", Verdict.VIOLATED)]
    assert found[0].why.startswith(f"{host}: ")
    assert named in found[0].why
    assert all(found.clean for found in find_residue.look(pool.run, pool.inventory).values())


MARKS = {
    "link": ("feed", "ip link set eth1 down", "ip link set eth1 up", "link eth1 is down"),
    "stopped": (
        "venue", "sleep 61 >/dev/null 2>&1 & echo $! >/run/plant; kill -STOP $!",
        "kill -KILL $(cat /run/plant); rm /run/plant", "stopped process",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("host", "plant", "away", "named"), MARKS.values(), ids=MARKS)
def test_what_anybody_may_have_made_is_residue_only_where_it_came_with_the_run(
    pool: Pool, tmp_path: Path, host: str, plant: str, away: str, named: str
) -> None:
    before = find_residue.marks(pool.run, pool.inventory)
    with planted(pool, host, plant, away):
        (alone,) = run_checks(pool.inventory, pool.run, ["residue"], tmp_path)
        (after,) = run_checks(pool.inventory, pool.run, ["residue"], tmp_path, facts=take_cut.RunFacts(marks=before))
        there = find_residue.marks(pool.run, pool.inventory)
        (old,) = run_checks(pool.inventory, pool.run, ["residue"], tmp_path, facts=take_cut.RunFacts(marks=there))
    assert (after.verdict, named in after.why, after.why.startswith(f"{host}: ")) == (Verdict.VIOLATED, True, True)
    for found in (alone, old):
        assert found.verdict is Verdict.HELD
        assert f"not counted, as it may be anybody's: {host}: " in found.why
        assert named in found.why


IN = """mkdir -p /run/stormdesk/r-1; sleep 60 >/dev/null 2>&1 & echo $! >/run/plant
read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ start _ </proc/$!/stat
echo "$!.$start on" >/run/stormdesk/r-1/watch.a; ln -s r-1 /run/stormdesk/lock.disk; touch /var/lib/trading/.stormdesk-r-1"""
OUT = "kill $(cat /run/plant); rm -r /run/plant /run/stormdesk/r-1 /run/stormdesk/lock.disk /var/lib/trading/.stormdesk-r-1"


def test_a_run_of_somebody_else_that_is_in_is_no_residue(pool: Pool, tmp_path: Path) -> None:
    with planted(pool, "trader-b", IN, OUT):
        (held,) = run_checks(pool.inventory, pool.run, ["residue"], tmp_path)
        own = find_residue.look(pool.run, pool.inventory, own_run="r-1")["trader-b"]
        shell(pool, "trader-b", "kill $(cat /run/plant); sleep 61 & echo $! >/run/plant")  # its watchdog is gone
        dead = find_residue.look(pool.run, pool.inventory)["trader-b"]
    assert (held.verdict, held.why) == (Verdict.HELD, "6 hosts asked, nothing of ours left; 1 other runs are in")
    assert own.ours == dead.ours == (
        "record /run/stormdesk/r-1", "lock /run/stormdesk/lock.disk", "file /var/lib/trading/.stormdesk-r-1",
    )  # fmt: skip


def test_a_position_that_was_moved_is_found(pool: Pool, tmp_path: Path) -> None:
    psql(pool, "update positions set position = position + 0.00000001 where asset = 'BTC'")
    try:
        found = JUDGES["I-04"](take_cut.take(pool.run, pool.inventory, tmp_path / "cut"))
    finally:
        psql(pool, "update positions set position = position - 0.00000001 where asset = 'BTC'")
    assert found.verdict is Verdict.VIOLATED
    assert found.why.startswith("BTC: position ")


class Broken:
    """The pool, but for commands on some host that match a word: those raise."""

    def __init__(self, pool: Pool, host: str, word: str, error: type[Exception]) -> None:
        self.pool, self.host, self.word, self.error = pool, host, word, error

    def run(self, host: str, argv: Argv, deadline_s: float) -> Completed:
        if host == self.host and any(self.word in word for word in argv):
            raise self.error(f"{host}: planted")
        return self.pool.run(host, argv, deadline_s)


SILENCES = {
    "market data": ("feed", "/book?symbol", {"I-08"}),
    "bus": ("store", "xrevrange", {"I-11"}),
    "ledger": ("trader-a", "ledger.jsonl", {"I-01", "I-02", "I-03", "I-05", "I-07", "I-18", "I-21"}),
    "rows": ("store", "row_to_json", {"I-02", "I-03", "I-04", "I-06"}),
    "journal": ("venue", "journal", {"I-01", "I-02", "I-03", "I-04", "I-06", "I-07", "I-08", "I-12", "I-14", "I-18", "I-20", "I-21"}),
}


@pytest.mark.parametrize(("host", "word", "unknown"), SILENCES.values(), ids=SILENCES)
def test_a_source_that_is_silent_is_unknown_and_trading_resumes(
    pool: Pool, tmp_path: Path, host: str, word: str, unknown: set[str]
) -> None:
    broken = Broken(pool, host, word, DeadlineExceeded)
    found = alarms(run_checks(pool.inventory, broken.run, ["invariants"], tmp_path / "cut"))
    assert {result.id for result in found.values() if result.verdict is Verdict.UNKNOWN} == unknown
    assert not {result.id for result in found.values() if result.verdict is Verdict.VIOLATED}
    assert "planted" in (tmp_path / "cut" / "unread.json").read_text()
    for trader in ("trader-a", "trader-b"):
        assert '"held":false' in shell(pool, trader, "curl -s http://127.0.0.1:8000/drain")


def test_a_host_that_is_gone_is_unknown_and_never_a_traceback(pool: Pool, tmp_path: Path) -> None:
    broken = Broken(pool, "feed", "", ConnectionLost)
    found = alarms(run_checks(pool.inventory, broken.run, ["steady", "residue"], tmp_path))
    assert {r.verdict for r in found.values()} == {Verdict.UNKNOWN}
    assert set(found) == {"services feed", "ports feed", "guards", "disk", "I-13"}
    assert all("\n" not in result.why for result in found.values())


def test_a_check_has_a_hard_deadline(pool: Pool) -> None:
    """Eight megabytes of errors do not stop it, and a command that never ends does not either."""
    host: Any = pooled(["ops"], pool.run)["ops"]
    assert host.run("head -c 8000000 /dev/zero | tr '\\0' x >&2; echo done").stdout == "done\n"
    host.backend._deadline_s = 1.0
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        host.run("sleep 30")
    assert time.monotonic() - began < 5
    assert host.file("/etc/hosts").exists
