"""Reads the parts of a cut from the trading stack's services on their own hosts. Raises StormdeskError without an answer."""

from __future__ import annotations

import base64
import gzip
import zlib

import msgspec

from stormdesk.core.errors import HostError, UsageError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.cut.lines import Book, BusMessage, Consumer, Retry, StateFile
from stormdesk.evidence.metrics import series
from stormdesk.host.scripts import probe
from stormdesk.ssh.parallel import READ_S, Run

Files = dict[str, bytes]

STATE_FILES = (
    "execution/kill_switch_state.json", "circuit_breaker.json", "positions_snapshot.json", "STOP.TXT", "global_flags.json",
)  # fmt: skip
BUS_STREAM = "md"  # of every stack of ours
OPERATORS = "operators/operators.jsonl"  # below the data folder; desk/operators_log.py writes it
TRADER_CONFIG = "/etc/trading/trader.json"  # of every stack of ours
ASK_S = 5.0  # for one question to a service on its own host

ORDERS_SQL = """select row_to_json(r) from (select client_order_id, signal, instance, epoch, symbol, side, type,
 price::text, qty::text, state, reason, order_id, extract(epoch from created_at)::float8 as created_t,
 extract(epoch from updated_at)::float8 as updated_t from orders order by created_at, client_order_id) r"""
FILLS_SQL = """select row_to_json(r) from (select trade_id, client_order_id, symbol, side, price::text, qty::text,
 quote_qty::text, fee::text, fee_asset, t from fills order by trade_id) r"""
POSITIONS_SQL = (
    "select row_to_json(r) from (select asset, opening::text, position::text from positions order by asset) r"
)
EPOCHS_SQL = """select row_to_json(r) from (select epoch, instance, extract(epoch from granted_at)::float8 as granted_t
 from epochs order by epoch) r"""
TABLES = {"orders": ORDERS_SQL, "fills": FILLS_SQL, "positions": POSITIONS_SQL, "epochs": EPOCHS_SQL}


class KillSwitch(msgspec.Struct, frozen=True):
    verify_s: float = 10.0


class Configured(msgspec.Struct, frozen=True):
    """The numbers of a trader's configuration that judges go by; without an override those of testnet/resilience.yaml."""

    retry: Retry = Retry()
    kill_switch: KillSwitch = KillSwitch()


class _Configuration(msgspec.Struct, frozen=True):
    """What is read of a trader's configuration, docs/formats/service-config.md."""

    resilience: Configured = Configured()


class Stack:
    """Who is who in the inventory, and how each is asked. Raises UsageError when a role is missing."""

    def __init__(self, run: Run, inventory: Inventory) -> None:
        self.run = run
        self.inventory = inventory
        self.traders = [host.name for host in inventory.role("trader") if "trader" in host.services]
        self.venue = self._with("venue")
        self.store = self._with("postgres")
        self.feeder = self._maybe("feeder")
        self.redis = self._maybe("redis")
        self.kafka = self._maybe("kafka")
        self.ops = self._maybe("orchestrator")
        address = self.venue.networks["mgmt"].address.partition("/")[0]
        self.control = f"http://{address}:{self.venue.services['venue'].ports['control']}"
        if not self.traders:
            raise UsageError(f"no trader in the inventory of {inventory.environment}: nothing to check")

    def _with(self, service: str) -> InventoryHost:
        host = self._maybe(service)
        if host is not None:
            return host
        raise UsageError(f"no host of {self.inventory.environment} runs {service}: nothing to check")

    def _maybe(self, service: str) -> InventoryHost | None:
        return next((host for host in self.inventory.hosts.values() if service in host.services), None)

    def ask(self, trader: str, method: str, path: str) -> bytes:
        """A trader's answer, asked on its own host."""
        port = self.inventory.hosts[trader].services["trader"].ports["http"]
        argv = ("curl", "-sS", "-f", "-m", "3", "-X", method, f"http://127.0.0.1:{port}{path}")
        done = self.run(trader, argv, ASK_S)
        if not done.ok:
            raise HostError(f"{trader}: {method} {path}: {done.stderr.strip() or f'curl ended with {done.code}'}")
        return done.stdout.encode()

    def configured(self) -> Configured:
        """What the traders go by; all of a desk have the same numbers."""
        done = self.run(self.traders[0], ("cat", TRADER_CONFIG), ASK_S)
        if not done.ok:
            raise HostError(f"{self.traders[0]}: {done.stderr.strip()}")
        try:
            return msgspec.json.decode(done.stdout, type=_Configuration).resilience
        except msgspec.DecodeError as error:
            raise HostError(f"{self.traders[0]}: {TRADER_CONFIG}: {error}") from error

    def operators(self) -> bytes:
        """The operators' log; b"" while nobody has ordered anything."""
        assert self.ops is not None
        log = f"{self.ops.paths['data']}/{OPERATORS}"
        done = self.run(self.ops.name, ("sh", "-c", '[ ! -e "$1" ] || cat "$1"', "sh", log), READ_S)
        if not done.ok:
            raise HostError(f"{self.ops.name}: {done.stderr.strip()}")
        return done.stdout.encode()

    def unpack(self, host: InventoryHost, name: str, count: int | None, *words: str) -> list[bytes]:
        """Run one of the probes `read_<name>`; `count` blocks of bytes, one for each thing it read (None: however many)."""
        done = self.run(host.name, probe(f"read_{name}", *words, first="pack"), READ_S)
        if not done.ok or any(line.startswith("exit ") and line != "exit 0" for line in done.stderr.splitlines()):
            raise HostError(f"{host.name}: {' '.join(done.stderr.split()) or f'ended with {done.code}'}"[:300])
        lines = done.stdout.split()
        if count is not None and len(lines) != count:
            raise HostError(
                f"{host.name}: {len(lines)} answers instead of {count}: {' '.join(done.stderr.split())}"[:300]
            )
        try:
            return [gzip.decompress(base64.b64decode(line)) for line in lines]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise HostError(f"{host.name}: what it sent cannot be unpacked: {error}") from error

    def journal(self, since: int) -> tuple[bytes, bytes]:
        """The venue's journal after `since`, and its balances right after."""
        urls = (f"{self.control}/journal?since={since}", f"{self.control}/balances")
        journal, balances = self.unpack(self.venue, "urls", 2, *urls)
        return journal, balances

    def tables(self) -> Files:
        """PostgreSQL's rows, all of one instant."""
        service = self.store.services["postgres"]
        where = ("-h", "/run/postgresql", "-p", str(service.ports["postgres"]), "-d", "trading")
        statements = ["begin isolation level repeatable read read only"]
        for name, select in TABLES.items():
            statements += [f"select '--{name}'", select]
        commands = [word for statement in (*statements, "select '--end'") for word in ("-c", statement)]
        (text,) = self.unpack(self.store, "sql", 1, service.user, *where, *commands)
        tables: dict[str, list[bytes]] = {}
        rows: list[bytes] = []
        for line in text.splitlines(keepends=True):
            if line.startswith(b"--"):
                rows = tables.setdefault(line[2:].strip().decode(), [])
            else:
                rows.append(line)
        if "end" not in tables:
            raise HostError(f"{self.store.name}: the answer of psql is not whole")
        return {f"{name}.jsonl": b"".join(tables[name]) for name in TABLES}

    def trader(self, name: str) -> tuple[Files, dict[str, StateFile]]:
        """A trader's ledger, what it has put aside of it, and its state files, as they lie on its disk."""
        host = self.inventory.hosts[name]
        raw, aside, state = self.unpack(host, "trader", 3, host.paths["data"], *STATE_FILES)
        files = {cuts.ledger_name(name): raw} | ({cuts.quarantine_name(name): aside} if aside else {})
        return files, dict(map(_state_file, state.decode().splitlines()))

    def market_data(self) -> Files:
        """What the feeder received, its books, and the venue's books as of the same updates."""
        assert self.feeder is not None
        base = f"http://127.0.0.1:{self.feeder.services['feeder'].ports['http']}"
        blocks = self.unpack(self.feeder, "feeder", None, self.feeder.paths["data"], base)
        symbols = [block.decode() for block in blocks[::3]]
        files = dict(zip(map(cuts.md_name, symbols), blocks[1::3], strict=True))
        books = dict(zip(symbols, map(msgspec.Raw, blocks[2::3]), strict=True))
        try:
            at = {symbol: msgspec.json.decode(book, type=Book).update_id for symbol, book in books.items()}
        except msgspec.DecodeError as error:
            raise HostError(f"{self.feeder.name}: /book: {error}") from error
        urls = [f"{self.control}/depth?symbol={symbol}&at={update}" for symbol, update in at.items()]
        depth = dict(zip(symbols, map(msgspec.Raw, self.unpack(self.venue, "urls", len(urls), *urls)), strict=True))
        return files | {"books.json": msgspec.json.encode(books), "depth.json": msgspec.json.encode(depth)}

    def bus(self) -> Files:
        """The end of what lies on the bus, and how far each trader has read."""
        if self.kafka is not None:
            (lines,) = self.unpack(self.kafka, "kafka", 1, f"{self.kafka.paths['data']}/kafka", BUS_STREAM)
        else:
            assert self.redis is not None
            where = ("127.0.0.1", str(self.redis.services["redis"].ports["redis"]), BUS_STREAM)
            lines = on_redis(*self.unpack(self.redis, "redis", 1, *where))
        consumers = {}
        for name in self.traders:
            host = self.inventory.hosts[name]
            (metrics,) = self.unpack(
                host, "consumer", 1, f"http://127.0.0.1:{host.services['trader'].ports['http']}/metrics"
            )
            consumers[name] = reader(metrics.decode())
        return {"bus.jsonl": on_the_bus(lines), "consumers.json": msgspec.json.encode(consumers)}


def on_redis(entries: bytes) -> bytes:
    """The envelopes of Redis' newest entries, oldest first, one a line."""
    try:
        newest = msgspec.json.decode(entries, type=list[tuple[str, list[str]]])
        return "\n".join(fields[fields.index("m") + 1] for _, fields in reversed(newest)).encode()
    except (msgspec.DecodeError, ValueError) as error:
        raise HostError(f"what lies on the bus cannot be read: {error}") from error


def on_the_bus(lines: bytes) -> bytes:
    """The same envelopes without their data."""
    try:
        found = [msgspec.json.decode(line, type=BusMessage) for line in lines.splitlines()]
    except msgspec.DecodeError as error:
        raise HostError(f"what lies on the bus cannot be read: {error}") from error
    return b"".join(msgspec.json.encode(message) + b"\n" for message in found)


def reader(metrics: str) -> Consumer:
    """A reader's own numbers."""
    found = {name: int(value) for name, _, value in series(metrics)}
    try:
        return Consumer(
            messages=found["bus_messages_total"],
            lag=found["bus_consumer_lag"],
            out_of_order=found["bus_out_of_order_total"],
            malformed=found["bus_malformed_total"],
        )
    except KeyError as error:
        raise HostError(f"it has no metric {error}") from error


def _state_file(line: str) -> tuple[str, StateFile]:
    path, mtime, *content = line.split(" ")
    text = base64.b64decode("".join(content)).decode(errors="replace")
    return path, StateFile(mtime=float(mtime), content=text)
