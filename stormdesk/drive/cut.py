"""Takes a consistent cut of a trading stack (docs/formats.md section 9) and reads a recorded one back.

New intents are held, what is in flight drains, every source is read, trading resumes: also after an error, and by
itself after 60 s if we die. Open orders go on trading meanwhile, so a reading counts only when the venue did nothing
for the desk while it was taken and PostgreSQL has heard of all it did before; else it is taken again, until the drain's
deadline. What the last reading says is then judged as it is.
"""

from __future__ import annotations

import base64
import gzip
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from stormdesk import cut as cuts
from stormdesk.cut import Cut
from stormdesk.cut.lines import FaultWindow, Recovery
from stormdesk.drive import residue
from stormdesk.drive.asking import READ_S, Run, each
from stormdesk.errors import HostError, StormdeskError, UsageError
from stormdesk.invariants import DRAIN_S
from stormdesk.inventory import Inventory, InventoryHost

Files = dict[str, bytes]

ASK_S = 5.0  # for one question to a service on its own host
POLL_S = 0.1

# Bytes must arrive as they are, and journals of some MB in little time: so compressed, then base64, one line for each
# source. What a pipe would hide, the reader's own exit code, goes to stderr.
_PACK = r"""
pack() { gzip -1 | base64 | tr -d '\n'; echo; }
"""
READ_FILE = (
    _PACK
    + r"""
[ -f "$1" ] || { echo "no file $1" >&2; exit 1; }
{ cat -- "$1"; echo "exit $?" >&2; } | pack
"""
)
READ_URLS = (
    _PACK
    + r"""
for url; do { curl -sS -f -m 8 "$url"; echo "exit $?" >&2; } | pack; done
"""
)
READ_SQL = (
    _PACK
    + r"""
user=$1
shift
psql=$(ls -d /usr/lib/postgresql/*/bin/psql 2>/dev/null | sort -V | tail -n 1)
{ setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "${psql:-psql}" -XqAt -v ON_ERROR_STOP=1 "$@"
  echo "exit $?" >&2; } | pack
"""
)
ORDERS_SQL = """select row_to_json(r) from (select client_order_id, signal, instance, epoch, symbol, side, type,
 price::text, qty::text, state, reason, order_id, extract(epoch from created_at)::float8 as created_t,
 extract(epoch from updated_at)::float8 as updated_t from orders order by created_at, client_order_id) r"""
FILLS_SQL = """select row_to_json(r) from (select trade_id, client_order_id, symbol, side, price::text, qty::text,
 quote_qty::text, fee::text, fee_asset, t from fills order by trade_id) r"""
POSITIONS_SQL = (
    "select row_to_json(r) from (select asset, opening::text, position::text from positions order by asset) r"
)
TABLES = {"orders": ORDERS_SQL, "fills": FILLS_SQL, "positions": POSITIONS_SQL}


@dataclass
class _Reading:
    """What has been read so far, and what could not be. The journal only grows; the rest is read anew each time."""

    files: Files = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


class _Stack:
    """Who is who in the inventory, and how each is asked. Raises UsageError when a role is missing."""

    def __init__(self, run: Run, inventory: Inventory) -> None:
        self.run = run
        self.inventory = inventory
        self.traders = [host.name for host in inventory.role("trader") if "trader" in host.services]
        self.venue = self._with("venue")
        self.store = self._with("postgres")
        if not self.traders:
            raise UsageError(f"no trader in the inventory of {inventory.environment}: nothing to check")

    def _with(self, service: str) -> InventoryHost:
        for host in self.inventory.hosts.values():
            if service in host.services:
                return host
        raise UsageError(f"no host of {self.inventory.environment} runs {service}: nothing to check")

    def ask(self, trader: str, method: str, path: str) -> bytes:
        """A trader's answer, asked on its own host."""
        port = self.inventory.hosts[trader].services["trader"].ports["http"]
        argv = ("curl", "-sS", "-f", "-m", "3", "-X", method, f"http://127.0.0.1:{port}{path}")
        done = self.run(trader, argv, ASK_S)
        if not done.ok:
            raise HostError(f"{trader}: {method} {path}: {done.stderr.strip() or f'curl ended with {done.code}'}")
        return done.stdout.encode()

    def unpack(self, host: InventoryHost, script: str, count: int, *words: str) -> list[bytes]:
        """Run one of the READ scripts; `count` blocks of bytes, one for each thing it read."""
        done = self.run(host.name, ("sh", "-c", script, "sh", *words), READ_S)
        if not done.ok or any(line.startswith("exit ") and line != "exit 0" for line in done.stderr.splitlines()):
            raise HostError(f"{host.name}: {' '.join(done.stderr.split()) or f'ended with {done.code}'}"[:300])
        lines = done.stdout.split()
        if len(lines) != count:
            raise HostError(
                f"{host.name}: {len(lines)} answers instead of {count}: {' '.join(done.stderr.split())}"[:300]
            )
        try:
            return [gzip.decompress(base64.b64decode(line)) for line in lines]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise HostError(f"{host.name}: what it sent cannot be unpacked: {error}") from error

    def journal(self, since: int) -> tuple[bytes, bytes]:
        """The venue's journal after `since`, and its balances right after."""
        address = self.venue.networks["mgmt"].address.partition("/")[0]
        base = f"http://{address}:{self.venue.services['venue'].ports['control']}"
        journal, balances = self.unpack(self.venue, READ_URLS, 2, f"{base}/journal?since={since}", f"{base}/balances")
        return journal, balances

    def tables(self) -> Files:
        """PostgreSQL's rows, all of one instant."""
        service = self.store.services["postgres"]
        where = ("-h", "/run/postgresql", "-p", str(service.ports["postgres"]), "-d", "trading")
        statements = ["begin isolation level repeatable read read only"]
        for name, select in TABLES.items():
            statements += [f"select '--{name}'", select]
        commands = [word for statement in (*statements, "select '--end'") for word in ("-c", statement)]
        (text,) = self.unpack(self.store, READ_SQL, 1, service.user, *where, *commands)
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

    def ledger(self, trader: str) -> Files:
        """A trader's ledger as it lies on its disk."""
        host = self.inventory.hosts[trader]
        (raw,) = self.unpack(host, READ_FILE, 1, f"{host.paths['data']}/trader/ledger.jsonl")
        return {cuts.ledger_name(trader): raw}


def take(
    run: Run,
    inventory: Inventory,
    folder: Path,
    *,
    fault: FaultWindow | None = None,
    recovery: Recovery | None = None,
    diffs: Mapping[str, Sequence[str]] | None = None,
) -> Cut:
    """Take a cut and write it to `folder`, which must be new or empty.

    `run` runs a command on a host of `inventory`. `fault`, `recovery` and `diffs` (what a fingerprint found changed, by
    host) are what a run knows besides; without a run there are none. A source that cannot be read is left out, with the
    reason in `unread.json`. Raises UsageError when the inventory has no trading stack or the folder is in use.
    """
    stack = _Stack(run, inventory)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder} holds something already: a cut needs a folder of its own")
    reading = _Reading()
    started = time.time()
    until = time.monotonic() + DRAIN_S
    with _held(stack, reading):
        began = time.monotonic()
        left = _drain(stack, until)
        drain_s = None if left else round(time.monotonic() - began, 3)
        _read(stack, reading, until)
    ended = time.time()
    reading.files["residue.json"] = _json(residue.look(run, inventory, diffs or {}))
    meta = _meta(inventory, stack.traders, fault=fault, recovery=recovery)
    meta |= {
        "drain_s": drain_s, "left": left, "hold": {"started": started, "ended": ended},
        "one_clock": all(inventory.hosts[name].shares_kernel for name in (*stack.traders, stack.venue.name)),
    }  # fmt: skip
    reading.files["meta.json"] = _json(meta)
    return _write(reading, folder)


def residue_only(run: Run, inventory: Inventory, diffs: Mapping[str, Sequence[str]]) -> Cut:
    """A cut that knows of the hosts' residue and nothing else; nothing is held for it."""
    now = time.time()
    meta = _meta(inventory, []) | {"drain_s": None, "hold": {"started": now, "ended": now}}
    return cuts.parse({"meta.json": _json(meta), "residue.json": _json(residue.look(run, inventory, diffs))})


def _meta(
    inventory: Inventory, traders: list[str], *, fault: FaultWindow | None = None, recovery: Recovery | None = None
) -> dict[str, object]:
    return {
        "t": time.time(), "environment": inventory.environment, "hosts": sorted(inventory.hosts), "traders": traders,
        "recovery": msgspec.to_builtins(recovery), "fault": msgspec.to_builtins(fault),
    }  # fmt: skip


def load(folder: Path) -> Cut:
    """A recorded cut. Raises UsageError when there is none."""
    try:
        return cuts.parse({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    except OSError as error:
        raise UsageError(
            f"no cut at {folder}: {error.strerror}. A run keeps its own in runs/<id>/outputs/cut"
        ) from error


@contextmanager
def _held(stack: _Stack, reading: _Reading) -> Iterator[None]:
    """New intents are held on every trader; whatever happens, each is told to resume."""
    try:
        for name, answer in each(stack.traders, lambda trader: stack.ask(trader, "POST", "/hold")).items():
            if isinstance(answer, StormdeskError):
                reading.unread[f"hold {name}"] = str(answer)
        yield
    finally:
        for name, answer in each(stack.traders, lambda trader: stack.ask(trader, "POST", "/resume")).items():
            if isinstance(answer, StormdeskError):
                reading.unread[f"resume {name}"] = str(answer)


def _drain(stack: _Stack, until: float) -> dict[str, dict[str, int]]:
    """Wait until nothing is in flight on any trader; what was left at the deadline, by host."""
    while True:
        answers = each(stack.traders, lambda trader: _in_flight(stack.ask(trader, "GET", "/drain")))
        left = {name: {"no answer": 1} if isinstance(a, StormdeskError) else a for name, a in answers.items() if a}
        if not left or time.monotonic() >= until:
            return left
        time.sleep(POLL_S)


def _in_flight(answer: bytes) -> dict[str, int]:
    """What is not zero in an answer of /drain. Raises HostError when the trader is not holding."""
    try:
        counts = msgspec.json.decode(answer, type=dict[str, int | bool])
    except msgspec.DecodeError as error:
        raise HostError(f"/drain: {error}") from error
    if counts.pop("held", False) is not True:
        raise HostError("/drain: the trader is not holding")
    return {key: int(count) for key, count in counts.items() if count}


def _read(stack: _Stack, reading: _Reading, until: float) -> None:
    """Read every source, until a reading counts or the deadline passes; the venue first and last."""
    whole = _read_venue(stack, reading) is not None
    while True:
        whole = _read_rest(stack, reading) and whole
        fresh = _read_venue(stack, reading) if whole else None
        if fresh is None or (not fresh and cuts.settled(cuts.parse(reading.files))) or time.monotonic() >= until:
            return


def _read_venue(stack: _Stack, reading: _Reading) -> int | None:
    """Add what is new in the venue's journal, and its balances; how many new lines are about the desk."""
    known = reading.files.get("venue.jsonl", b"")
    try:
        fresh, balances = stack.journal(cuts.last_seq(known))
    except StormdeskError as error:
        reading.unread["venue.jsonl"] = str(error)
        return None
    reading.files |= {"venue.jsonl": known + fresh, "balances.json": balances}
    return cuts.about_the_desk(fresh)


def _read_rest(stack: _Stack, reading: _Reading) -> bool:
    """PostgreSQL and the ledgers, all at once. False when one of them could not be read."""
    asked: dict[str, Callable[[], Files]] = {"PostgreSQL": stack.tables}
    for trader in stack.traders:
        asked[cuts.ledger_name(trader)] = partial(stack.ledger, trader)
    answers = each(asked, lambda name: asked[name]())
    for name, answer in answers.items():
        if isinstance(answer, StormdeskError):
            reading.unread[name] = str(answer)
        else:
            reading.files |= answer
    return not any(isinstance(answer, StormdeskError) for answer in answers.values())


def _write(reading: _Reading, folder: Path) -> Cut:
    if reading.unread:
        reading.files["unread.json"] = _json(reading.unread)
    for name, data in reading.files.items():
        (folder / name).write_bytes(data)
    return cuts.parse(reading.files)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
