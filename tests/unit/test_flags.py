"""The flags of the old chaos scripts: each is read, refused when it is wrong, and changes what a run does."""

from __future__ import annotations

import io
import pty
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from stormdesk.cli import commands, game_days
from stormdesk.cli.options import Options
from stormdesk.cli.show import Mode, Show
from stormdesk.core.errors import ExitCode, UsageError
from stormdesk.core.inventory import ServiceEntry
from stormdesk.core.model import Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.schedule import Inject, Op, Pause, Schedule
from stormdesk.desk.metrics_sampler import Sampler
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.run import aside, flags, gameday, recovery, runner
from stormdesk.run.flags import HELP, Flags, load
from stormdesk.run.record import Record
from stormdesk.run.request import Request
from stormdesk.ssh.pool import Pool
from tests.support.invoking import environ, inventory, run_all

HOSTS = inventory(9, "/nowhere")
ROOT = Path(__file__).parents[2]


def test_nothing_set_is_nothing_changed() -> None:
    assert load({}) == Flags() == load(dict.fromkeys(HELP, ""))


def test_each_is_read() -> None:
    texts = {"NONINTERACTIVE": "1", "PAUSE_ON_FAIL": "0", "API": "http://b:8000/", "REDIS_CONTAINER": "store",
             "HEARTBEAT_MAX": "5", "WAIT_READY_TIMEOUT": "90"}  # fmt: skip
    assert load(texts) == Flags(True, False, "http://b:8000", "store", 5.0, 90.0)
    assert set(texts) == set(HELP)


@pytest.mark.parametrize(
    ("name", "text"),
    [("NONINTERACTIVE", "yes"), ("PAUSE_ON_FAIL", "2"), ("API", "localhost:8000"), ("API", "http://b"), ("API", "http://b:99999"),
     ("HEARTBEAT_MAX", "soon"), ("HEARTBEAT_MAX", "0"), ("HEARTBEAT_MAX", "nan"), ("WAIT_READY_TIMEOUT", "-1"),
     ("WAIT_READY_TIMEOUT", "1e9")],
)  # fmt: skip
def test_what_is_none_of_its_values_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name}=.* in the environment: must be "):
        load({name: text})


def test_help_and_documents_name_them(tmp_path: Path) -> None:
    (end,) = run_all([["gameday.run", "--help"]], environ(tmp_path))
    page = (ROOT / "docs/operators.md").read_text()
    assert [name for name in HELP if name not in end.out or f"`{name}=" not in page] == []


def test_a_wrong_flag_ends_a_run_before_anything(tmp_path: Path) -> None:
    (end,) = run_all([["chaos.noop", "--host", "a"]], environ(tmp_path) | {"HEARTBEAT_MAX": "soon"})
    assert end.code == 2


def test_noninteractive_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real terminal where nobody types."""
    mine, theirs = pty.openpty()
    record = Record(tmp_path / "r", "r")
    show = Show(Mode.LINES, io.StringIO())
    side = aside.Aside(cast("Pool", None), record, show, aside.no_acts)
    took = {}
    with open(theirs, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        for value in ("0", "1"):
            monkeypatch.setenv("NONINTERACTIVE", value)
            began = time.monotonic()
            side.ask("look", Pause("Who noticed?", 1.0))
            took[value] = time.monotonic() - began
    open(mine, "rb").close()
    record.close()
    assert took["0"] > 0.9
    assert took["1"] < 0.5
    assert [event["text"] for event in record.events()] == ["Who noticed?"] * 2


class Failed:
    """gameday.run, and runner.run, that end with this code."""

    def __init__(self, code: ExitCode) -> None:
        self.outcome = Outcome("r-1", code, Verdict.VIOLATED, "clean", "late")
        self.aborted: list[str] = []

    def run(self, *_: Any, **__: Any) -> Outcome:
        return self.outcome

    def abort(self, _pool: Pool, by: str, reason: str) -> Any:
        self.aborted.append(reason)
        return SimpleNamespace(lines=("aborted",), exit_code=ExitCode.HELD)


@pytest.mark.parametrize("value", ["0", "1"])
@pytest.mark.parametrize("code", [ExitCode.HELD, ExitCode.VIOLATED, ExitCode.STOPPED, ExitCode.DIRTY])
def test_pause_on_fail_leaves_the_desk_in_its_safe_state(value: str, code: ExitCode, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Failed(code)
    monkeypatch.setattr(type(HOSTS), "trading", True)
    orchestrator = {"ops": msgspec.structs.replace(HOSTS.hosts["trader-a"], services={"orchestrator": ServiceEntry(user="t")})}
    desk = msgspec.structs.replace(HOSTS, hosts={**HOSTS.hosts, **orchestrator})
    monkeypatch.setenv("PAUSE_ON_FAIL", value)
    monkeypatch.setattr(Options, "reach", lambda _: (desk, None))
    monkeypatch.setattr(gameday, "run", failed.run)
    monkeypatch.setattr(runner, "run", failed.run)
    monkeypatch.setattr("stormdesk.desk.operators.abort", failed.abort)
    assert game_days.game_day(Options(), "kill-feeder", 1) == code
    flagged = {"for_": 5, "ttl": None, "plan": False, "plan_hash": None, "env": "", "inventory": "", "json": False, "seed": 1,
               "host": ["trader-a"], "allow_irreversible": False, "allow_role_share": None, "allow_hosts": None, "allow_faults": None,
               "allow_unsteady": False, "allow_no_boot_hook": False}  # fmt: skip
    assert commands.attack("noop", flagged) == code
    due = value == "1" and code in (ExitCode.VIOLATED, ExitCode.DIRTY)
    assert failed.aborted == (["game day kill-feeder: late", "noop: late"] if due else [])


@pytest.mark.parametrize(
    ("api", "asked"),
    [("", {("trader-a", 8000), ("trader-b", 8000)}), ("http://trader-b:8001", {("trader-b", 8001)}),
     ("http://192.0.2.7:8000", {("trader-a", 8000)}), ("http://localhost:9000", {("trader-a", 9000), ("trader-b", 9000)})],
)  # fmt: skip
def test_api_says_which_traders_are_watched(api: str, asked: set[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    trader = {"trader": ServiceEntry(user="t", ports={"http": 8000})}
    seen: set[tuple[str, int]] = set()

    def run(host: str, argv: tuple[str, ...], _: float) -> Any:
        seen.add((host, int(argv[-1].split(":")[2].split("/")[0])))
        return SimpleNamespace(stdout="")

    hosts = {name: SimpleNamespace(services=trader, address=f"192.0.2.{n}") for n, name in ((7, "trader-a"), (8, "trader-b"))}
    monkeypatch.setenv("API", api)
    Sampler(cast("Pool", SimpleNamespace(inventory=SimpleNamespace(hosts=hosts), run=run))).read()
    assert seen == asked


def test_an_api_that_is_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no trader is there\. Traders: a, b"):
        flags.watched({"a": 1, "b": 1}, {}, "http://c:8000")


class Asked:
    """Keeps the request of a game day."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[Request] = []
        monkeypatch.setattr(runner, "run", self.run)

    def run(self, request: Request, *_: Any) -> Outcome:
        self.requests.append(request)
        return Outcome("r-1", ExitCode.HELD, Verdict.HELD, "clean", "")


def asked_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Request:
    from stormdesk.cli import runbooks

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stack = {"store": msgspec.structs.replace(HOSTS.hosts["trader-a"], services={"redis": ServiceEntry(user="r")})}
    stack |= {"cache": msgspec.structs.replace(stack["store"], services={"valkey": ServiceEntry(user="r")})}
    desk = msgspec.structs.replace(HOSTS, hosts={**HOSTS.hosts, **stack})
    path = next(path for path in runbooks.known() if path.stem == "leader-loss")
    book = runbooks.read(path)
    hearing = Asked(monkeypatch)
    monkeypatch.setattr(gameday.aim, "check", lambda *_: None)
    monkeypatch.setattr(type(desk), "host", lambda self, name: self.hosts.get(name))
    show = Show(Mode.LINES, io.StringIO())
    gameday.run(book, str(path), desk, cast("Any", None), show, 1, lambda _: None, aside.no_acts, cast("Any", None))
    return hearing.requests[0]


def test_wait_ready_timeout_is_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_of(monkeypatch).rto_s == 90
    assert asked_of(monkeypatch, WAIT_READY_TIMEOUT="45").rto_s == 45


@pytest.mark.parametrize(
    ("name", "hosts", "service"),
    [("", ("store",), "redis"), ("cache", ("cache",), "redis"), ("valkey", ("cache",), "valkey")],
)
def test_redis_container_is_what_steps_for_redis_are_aimed_at(
    name: str, hosts: tuple[str, ...], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (op,) = asked_of(monkeypatch, REDIS_CONTAINER=name).schedule.injects
    assert isinstance(op.do, Inject)
    assert (op.do.hosts, str(getattr(op.do.fault, "service", None))) == (hosts, service)


def test_a_redis_that_is_nowhere_is_refused_and_other_steps_stay() -> None:
    other = Schedule((Op("kill", "main", Inject(ProcessKill(service="feeder"), ("feed",), 5.0, None)),))
    assert flags.aimed(other, HOSTS, "trader-b") == other
    with pytest.raises(UsageError, match="no host and no service"):
        flags.aimed(other, HOSTS, "nothing")


def leading(**beats: float) -> dict[str, Any]:
    return {"t": 1.0, "health": {"b": {"leader": {"is_leader": False}}, "a": {"leader": {"is_leader": True}, "heartbeats": beats}}}


@pytest.mark.parametrize(
    ("samples", "limit", "verdict"),
    [([leading(scan=9.0), leading(scan=1.0, order=0.2, md=4.9)], 5.0, "held"), ([leading(scan=1.0, md=5.0)], 5.0, "violated"),
     ([leading(scan=1.0, md=5.0)], 6.0, "held"), ([leading(scan=1.0)], 0.5, "violated"), ([{"t": 1.0, "health": {}}], 5.0, "unknown"),
     ([], 5.0, "unknown")],
)  # fmt: skip
def test_heartbeat_max_judges_the_leaders_last_heartbeats(samples: list[Any], limit: float, verdict: str) -> None:
    result = recovery.beating(samples, limit)
    assert (result.id, result.verdict) == ("heartbeats", verdict)


def test_heartbeat_max_adds_its_check_to_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(tmp_path / "r", "r")
    observer = recovery.Observer(record, Show(Mode.LINES, io.StringIO()), cast("Any", None), cast("Any", object()))
    observer._samples.append(leading(scan=3.0))
    found = {}
    for value in ("", "5", "2"):
        monkeypatch.setenv("HEARTBEAT_MAX", value)
        found[value] = [(result.id, result.verdict.value) for result in observer.expectations([])]
    record.close()
    assert found == {"": [], "5": [("heartbeats", "held")], "2": [("heartbeats", "violated")]}
