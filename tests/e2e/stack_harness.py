"""The trading stack on loopback: real services, a real Redis and a real PostgreSQL, all children of the test.

Redis and PostgreSQL are taken from this machine or, as root, from the lab's package layer, which is mounted in a
mount namespace that ends with the server. Where there is neither, the tests are skipped.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stormdesk import durable
from stormdesk.infra.backends.lab import layer, processes
from stormdesk.testnet.resilience import Overrides, Resilience, load
from tests.e2e.stack_disk import Disk
from tests.skips import cannot, got

ROOT = os.geteuid() == 0
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups") if ROOT else ()
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
START_S = 60.0  # of a server on a busy machine
# libfaketime's settings: the monotonic clock stays the real one, it is what deadlines are measured by.
FAKETIME = {
    "FAKETIME_NO_CACHE": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else each wait of Python's interpreter lock is over at once
}
FROM_LAYER = """
mount -n -t ext4 -o loop,ro,nodev "$1" "$2" || exit 1
for libs in "$2"/upper/usr/lib/*-linux-gnu; do export LD_LIBRARY_PATH="$libs"; done
program=$(ls "$2"/upper$3); shift 3; exec $PREFIX "$program" "$@"
"""


def eventually(what: str, check: Callable[[], Any], deadline_s: float = 20.0) -> Any:
    """The first true value of `check`; an error of a connection counts as not yet. Fails after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            if value := check():
                return value
        except (OSError, psycopg.Error):
            pass
        assert time.monotonic() < end, f"{what}: not within {deadline_s} s"
        time.sleep(0.05)


def get(url: str, method: str = "GET") -> Any:
    """A JSON document, whatever the status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def post(url: str, body: Mapping[str, Any]) -> tuple[int, Any]:
    """POST a JSON document: the status and the JSON answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
        return str(answer.read().decode())


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def home_for_nobody() -> Iterator[Path]:
    """A directory that uid 65534, who runs PostgreSQL, can reach; pytest keeps its own for root alone."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-stack-") as home:
        Path(home).chmod(0o755)
        yield Path(home)


def _tracer(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("TracerPid:")[2].split()[0])


class Stack:
    """Processes by name. `up` starts everything; services can be killed and started again one by one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = {name: free_port() for name in ("redis", "postgres", "venue", "control", "feeder", "a", "b", "c")}
        self.resilience: dict[str, dict[str, Any]] = {}  # overrides of the packaged numbers, for all services
        self.bus = f"redis://127.0.0.1:{self.port['redis']}/0"
        self.trader_config: dict[str, Any] = {}  # what differs for traders
        self.orders: list[dict[str, Any]] = []  # what operators ordered, as their log has it
        self._wraps: dict[str, list[str]] = {}
        self._disks: dict[str, Disk] = {}

    # -- servers -------------------------------------------------------------------------------------------------

    def redis(self) -> None:
        argv = program("/usr/bin/redis-server", self.home / "layer-redis")
        words = ["--port", str(self.port["redis"]), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.home)]
        self._spawn("redis", [*argv, *words])
        eventually("redis", lambda: answers(self.port["redis"]), START_S)

    def postgres(self) -> None:
        data = self.home / "pg"
        if not data.exists():
            subprocess.run(["cp", "-a", empty_cluster(), data], check=True, timeout=60)
        argv = program("/usr/lib/postgresql/*/bin/postgres", self.home / "layer-postgres", NOBODY)
        words = ["-D", str(data / "data"), "-p", str(self.port["postgres"]), "-k", str(data), "-F"]
        self._spawn("postgres", [*argv, *words, "-c", "listen_addresses=127.0.0.1"], cwd=data)
        eventually("postgres", lambda: self.sql("select 1", database="postgres"), START_S)
        if not self.sql("select 1 from pg_database where datname = 'trading'", database="postgres"):
            self.sql("create database trading", database="postgres")

    def sql(self, statement: str, database: str = "trading") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=2) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def dsn(self, database: str = "trading") -> str:
        return f"postgresql://trading@127.0.0.1:{self.port['postgres']}/{database}"

    # -- our services --------------------------------------------------------------------------------------------

    def up(self, *, standby: bool = False) -> None:
        """Everything, until the leader's first order is accepted."""
        self.redis()
        self.postgres()
        for name in ("venue", "feeder", "trader-a", *(["trader-b"] if standby else [])):
            self.start(name)
        self.trading()

    def start(self, name: str, wrap: list[str] | None = None, **config: Any) -> None:
        """Start a service; `wrap` are words before its command, and are kept for later starts. `config` changes its
        configuration for this start."""
        (self.home / f"{name}.json").write_text(json.dumps({**self._config(name), **config}))
        if wrap is not None:
            self._wraps[name] = wrap
        self.again(name)

    def again(self, name: str) -> None:
        """Start a service with the configuration that is there."""
        kind, path = name.partition("-")[0], self.home / f"{name}.json"
        command = [sys.executable, "-m", f"stormdesk.testnet.{kind}", "--config", str(path)]
        self._spawn(name, [*self._wraps.get(name, []), *command])

    def put_on_disk(self, name: str, size_mib: int) -> Disk:
        """Give a service, before it starts, a disk of its own."""
        disk = self._disks[name] = Disk(self.home, size_mib)
        self._wraps[name] = disk.wrap
        return disk

    def fake_clock(self, name: str) -> None:
        """Start a service, from now on, with libfaketime preloaded at offset 0; `set_clock` steps its clock."""
        self.set_clock(name, 0)
        words = {
            "LD_PRELOAD": str(_library("faketime/libfaketimeMT.so.1", self.home)),
            "FAKETIME_TIMESTAMP_FILE": str(self.home / f"{name}.clock"),
            **FAKETIME,
        }
        self._wraps[name] = ["env", *(f"{key}={value}" for key, value in words.items())]

    def set_clock(self, name: str, offset_s: int) -> None:
        durable.replace(self.home / f"{name}.clock", f"{offset_s:+d}\n".encode())

    def maps(self, name: str) -> str:
        """What a service's process has mapped."""
        return Path(f"/proc/{self.processes[name].pid}/maps").read_text()

    def disk(self, name: str) -> Disk:
        return self._disks[name]

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal and wait for the end. SIGKILL is for all its processes: PostgreSQL's would serve on for a moment."""
        process = self.processes.pop(name)
        below = processes.descendants(process.pid) if number == signal.SIGKILL else ()
        process.send_signal(number)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        process.wait(15)
        _sweep(process.pid)

    def injecting(self, call: str, error: str) -> list[str]:
        """The command line before a command (or `-p PID`) in which each such system call fails: strace."""
        strace = program("/usr/bin/strace", self.home / "layer-strace")
        return [*strace, "-f", "-qq", "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]

    @contextmanager
    def failing(self, name: str, call: str, error: str) -> Iterator[None]:
        """Each such system call of a running service fails, in all its threads."""
        pid = self.processes[name].pid
        words = [*self.injecting(call, error), "-p", str(pid)]
        with tempfile.TemporaryFile() as out:
            tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            try:
                eventually("traced", lambda: _tracer(pid) == tracer.pid)
                yield
            finally:
                tracer.send_signal(signal.SIGTERM)
                tracer.wait(15)

    def pause(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def down(self) -> None:
        for name, process in self.processes.items():
            process.send_signal(signal.SIGCONT)
            # PostgreSQL would leave its shared memory behind; told to quit it does not wait for anybody.
            process.send_signal(signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        for process in self.processes.values():
            process.wait(15)
            _sweep(process.pid)
        for disk in self._disks.values():
            disk.close()

    def url(self, name: str, path: str) -> str:
        return f"http://127.0.0.1:{self.port[name]}/{path}"

    def trader(self, path: str, method: str = "GET", which: str = "a") -> Any:
        return get(self.url(which, path), method)

    def count(self, state: str, which: str = "a") -> int:
        """trader_orders_total of a state, both sides."""
        lines = text(self.url(which, "metrics")).splitlines()
        found = [line for line in lines if line.startswith("trader_orders_total") and f'state="{state}"' in line]
        return int(sum(float(line.split()[-1]) for line in found))

    def metric(self, name: str, which: str = "a") -> float:
        """A metric of a trader that has no labels."""
        lines = text(self.url(which, "metrics")).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def trading(self, which: str = "a", more: int = 1, deadline_s: float = 30.0) -> None:
        """Wait until that many more orders are accepted; `deadline_s` begins when breakers that are open try again."""
        deadline_s += self.numbers.breaker.open_s
        eventually("the trader answers", lambda: self.trader("health", which=which), deadline_s)
        goal = self.count("accepted", which) + more
        try:
            eventually(f"{more} more orders", lambda: self.count("accepted", which) >= goal, deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.trader('ready', which=which)}") from None

    def calm(self) -> None:
        """Wait until it trades and no breaker is open: what a test of many begins with."""
        self.trading()
        eventually(
            "breakers are closed", lambda: set(self.trader("health")["breakers"].values()) <= {"CLOSED"},
            self.numbers.breaker.open_s + 30,
        )  # fmt: skip

    def quiet(self, which: str = "a", deadline_s: float = 25.0) -> None:
        """Hold, and wait until nothing moves."""
        self.trader("hold", "POST", which)

        def still() -> bool:
            numbers = self.trader("drain", which=which)
            return bool(numbers.pop("held")) and not any(numbers.values())

        eventually(f"drained {which}", still, deadline_s)

    @property
    def numbers(self) -> Resilience:
        """What all services go by."""
        return load(self.resilience)

    def ledger_path(self, name: str = "trader-a") -> Path:
        return self.data(name) / "ledger.jsonl"

    def data(self, name: str = "trader-a") -> Path:
        """A service's data folder, as it is seen from here."""
        return self._disks[name].path / "data" if name in self._disks else self.home / name

    def ledger_lines(self, name: str = "trader-a") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger_path(name).read_bytes().splitlines()]

    def said(self, name: str = "trader-a") -> str:
        """What a service has logged."""
        return (self.home / f"{name}.log").read_text(errors="replace")

    def ledger(self, kind: str, name: str = "trader-a") -> list[dict[str, Any]]:
        """Lines of a trader's ledger."""
        found = [json.loads(line) for line in self.ledger_path(name).read_bytes().splitlines()]
        return [line for line in found if line["kind"] == kind]

    def posts(self, since: float = 0.0) -> list[dict[str, Any]]:
        """New orders at the venue that were signed since then (seconds since 1970): what was on its way does not count.
        A trader knows the venue's clock, which it signs by, to 200 ms."""
        lines = (line for line in self.journal() if line["kind"] == "REQUEST" and line["method"] == "POST")
        return [line for line in lines if line["timestamp"] / 1000 > since + 0.2]

    def assert_all_ended(self, since: float) -> None:
        """Every order that was made since then came to an end or rests at the venue, and none was sent twice."""
        ids = [line["client_order_id"] for line in self.posts(since)]
        assert len(ids) == len(set(ids))
        theirs = {order["clientOrderId"]: order["status"] for order in self.venue_orders()}
        rows = self.sql(f"select client_order_id, state from orders where created_at > to_timestamp({since})")  # noqa: S608
        ends = ("REJECTED", "CANCELED", "FILLED", "EXPIRED")
        assert [(cid, state) for cid, state in rows if state not in ends and theirs.get(cid) != state] == []

    def offer(self, signal_name: str, **terms: str) -> tuple[int, Any]:
        """Give the leader a signal from outside: a small order that rests far from the market."""
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "qty": "0.00100", "price": "58000.00"}
        return post(self.url("a", "execution/intents"), {"signal": signal_name, **order, **terms})

    def command(self, path: str, **body: str) -> tuple[int, Any]:
        """POST /execution/<path> to the leader."""
        return post(self.url("a", f"execution/{path}"), body)

    def fault(self, name: str, for_s: float, **params: str) -> str:
        """Put a fault of the venue in; its id."""
        body = {"name": name, "for_s": for_s, "seed": 7, "params": params}
        status, answer = post(self.url("control", "faults"), body)
        assert status == 201, answer
        return str(answer["id"])

    def fault_over(self, fault: str) -> int:
        """Take a fault out, if it has not ended by itself; how often it struck."""
        answer = get(self.url("control", f"faults/{fault}"), "DELETE")
        return int(answer["hits"])

    def hits(self, fault: str) -> int:
        return int(get(self.url("control", f"faults/{fault}"))["hits"])

    def number(self, name: str, which: str = "a") -> float:
        """A trader's metric, summed over the labels that are not named."""
        lines = text(self.url(which, "metrics")).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def venue_orders(self) -> list[dict[str, Any]]:
        """All orders at the venue, by its control port."""
        found: list[dict[str, Any]] = get(self.url("control", "orders"))
        return found

    def journal(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in text(self.url("control", "journal?since=0")).splitlines()]

    # -- inside --------------------------------------------------------------------------------------------------

    def _spawn(self, name: str, argv: list[str], cwd: Path | None = None) -> None:
        with (self.home / f"{name}.log").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, start_new_session=True
            )

    def _config(self, name: str) -> Mapping[str, Any]:
        data = self._disks[name].mounted / "data" if name in self._disks else self.home / name
        files = {"data_dir": str(data), "pidfile": str(self.home / f"{name}.pid")}
        common = {**files, "resilience": self.resilience}
        rest, ws = f"http://127.0.0.1:{self.port['venue']}", f"ws://127.0.0.1:{self.port['venue']}"
        redis = f"redis://127.0.0.1:{self.port['redis']}/0"
        if name == "venue":
            balances = {"USDT": "1000000", "BTC": "20", "ETH": "300"}
            account = {
                "name": "desk", "api_key": "test-key", "api_secret": "test-secret", "balances": balances,
                "more_keys": {"guard-key": "guard-secret"},
            }  # fmt: skip
            listen = {"listen": f"127.0.0.1:{self.port['venue']}", "control": f"127.0.0.1:{self.port['control']}"}
            return {**common, **listen, "seed": 7, "symbols": SYMBOLS, "accounts": [account]}
        at = {**common, "bus": self.bus, "stream": "md", "venue_rest": rest, "venue_ws": ws, "symbols": SYMBOLS}
        if name == "feeder":
            return {**at, "listen": f"127.0.0.1:{self.port['feeder']}"}
        return {
            **at,
            "listen": f"127.0.0.1:{self.port[name[-1]]}",
            "instance": name,
            "redis": redis,
            "api_key": "test-key",
            "api_secret": "test-secret",
            "postgres": self.dsn(),
            "seed": 7,
            "guard_dir": str(self.home / f"guard-{name[-1]}"),
            "stand_back_s": 0.0 if name.endswith("a") else 2.0,
            **self.trader_config,
        }


@contextmanager
def shortened(resilience: Overrides) -> Iterator[Stack]:
    """A stack to be started, with these numbers; whatever happens, its processes end with it."""
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.resilience = {section: {**numbers} for section, numbers in resilience.items()}
        try:
            yield stack
        finally:
            stack.down()


@functools.cache
def empty_cluster() -> Path:
    """A folder with what initdb makes, once for all stacks of a session; PostgreSQL has never run in it."""
    folder = tempfile.TemporaryDirectory(prefix="stormdesk-stack-")
    atexit.register(folder.cleanup)
    Path(folder.name).chmod(0o755)
    cluster = Path(folder.name, "pg")
    cluster.mkdir()
    if ROOT:
        os.chown(cluster, 65534, 65534)
    init = program("/usr/lib/postgresql/*/bin/initdb", Path(folder.name, "layer-initdb"), NOBODY)
    words = ["-D", str(cluster / "data"), "-A", "trust", "-U", "trading", "--no-sync"]
    subprocess.run([*init, *words], check=True, cwd=cluster, stdout=subprocess.DEVNULL, timeout=60)
    return cluster


def program(pattern: str, spot: Path, prefix: tuple[str, ...] = ()) -> list[str]:
    """The command that runs a server's program, wherever it is. Skips the test when it is nowhere."""
    on_path = shutil.which(Path(pattern).name)
    here = [on_path] if on_path else sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))
    if here:
        return [*prefix, here[-1]]
    if not ROOT:
        pytest.skip(f"no {Path(pattern).name} on this machine, and the package layer needs root")
    image = str(got(lambda: layer.ensure(print)))
    if not image.endswith(".ext4"):
        cannot(f"it has no {Path(pattern).name} and no loop devices, which the package layer needs here")
    spot.mkdir(exist_ok=True)
    script = FROM_LAYER.replace("$PREFIX", " ".join(prefix))
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", image, str(spot), pattern]


def _sweep(pid: int) -> None:
    """What libfaketime leaves of a process that was killed."""
    for path in Path("/dev/shm").glob(f"*faketime_*_{pid}"):
        path.unlink(missing_ok=True)


def _library(name: str, home: Path) -> Path:
    """A shared library, from this machine or copied out of the package layer. Skips the test when it is in neither."""
    here = sorted(Path("/usr/lib").glob(f"*-linux-gnu/{name}"))
    if here:
        return here[0]
    found = home / Path(name).name
    if not found.exists():
        copy = program(f"/usr/lib/*-linux-gnu/{name}", home / "layer-library", ("cp", "-t", str(home)))
        subprocess.run(copy, check=True, timeout=30)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True
