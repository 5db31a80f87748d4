"""Asks the trading stack's services on their own hosts: what a cut is made of. Raises StormdeskError for no answer."""

from __future__ import annotations

import base64
import gzip
import zlib

from stormdesk import cut as cuts
from stormdesk.cut.lines import StateFile
from stormdesk.drive.asking import READ_S, Run
from stormdesk.errors import HostError, UsageError
from stormdesk.inventory import Inventory, InventoryHost

Files = dict[str, bytes]

STATE_FILES = (
    "execution/kill_switch_state.json", "circuit_breaker.json", "positions_snapshot.json", "STOP.TXT", "global_flags.json",
)  # fmt: skip
ASK_S = 5.0  # for one question to a service on its own host

# Bytes must arrive as they are, and journals of some MB in little time: so compressed, then base64, one line for each
# source. What a pipe would hide, the reader's own exit code, goes to stderr.
_PACK = r"""
pack() { gzip -1 | base64 | tr -d '\n'; echo; }
"""
# A trader's ledger; what it has put aside of it; its state files and its guard's, one a line: path, time of the last
# change, content in base64.
READ_TRADER = (
    _PACK
    + r"""
data=$1
shift
[ -f "$data/trader/ledger.jsonl" ] || { echo "no file $data/trader/ledger.jsonl" >&2; exit 1; }
{ cat -- "$data/trader/ledger.jsonl"; echo "exit $?" >&2; } | pack
{ [ ! -f "$data/trader/ledger.quarantine" ] || cat -- "$data/trader/ledger.quarantine"; echo "exit $?" >&2; } | pack
for path; do
  for folder in trader guard; do
    file=$data/$folder/$path
    [ ! -f "$file" ] || printf '%s %s %s\n' "$path" "$(stat -c %.9Y "$file")" "$(base64 <"$file" | tr -d '\n')"
  done
done | pack
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
EPOCHS_SQL = """select row_to_json(r) from (select epoch, instance, extract(epoch from granted_at)::float8 as granted_t
 from epochs order by epoch) r"""
TABLES = {"orders": ORDERS_SQL, "fills": FILLS_SQL, "positions": POSITIONS_SQL, "epochs": EPOCHS_SQL}


class Stack:
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

    def trader(self, name: str) -> tuple[Files, dict[str, StateFile]]:
        """A trader's ledger, what it has put aside of it, and its state files, as they lie on its disk."""
        host = self.inventory.hosts[name]
        raw, aside, state = self.unpack(host, READ_TRADER, 3, host.paths["data"], *STATE_FILES)
        files = {cuts.ledger_name(name): raw} | ({cuts.quarantine_name(name): aside} if aside else {})
        return files, dict(map(_state_file, state.decode().splitlines()))


def _state_file(line: str) -> tuple[str, StateFile]:
    path, mtime, *content = line.split(" ")
    text = base64.b64decode("".join(content)).decode(errors="replace")
    return path, StateFile(mtime=float(mtime), content=text)
