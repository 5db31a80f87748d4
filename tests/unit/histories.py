"""A truthful history, and functions that change one fact in it. The recorded cut is older than the epochs in the traders' ids;
`grown` is the same history in today's form."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import JUDGES

Files = dict[str, bytes]
Change = Callable[[Files], str]  # changes one fact; what the judge must name
RECORDED = Path(__file__).parents[1] / "cases" / "histories" / "disk-full" / "cut"
LEDGER = "ledger-trader-a.jsonl"
EPOCH = 3  # of the whole recorded history
OUTSIDE = slice(3)  # of its orders: those for signals from outside


def recorded() -> Files:
    """The files as they were recorded."""
    return {path.name: path.read_bytes() for path in RECORDED.iterdir()}


def judge(name: str, files: Files) -> tuple[Verdict, str]:
    result = JUDGES[name](cuts.parse(files))
    assert result.id == name
    assert result.sources
    assert result.why
    assert "\n" not in result.why
    return result.verdict, result.why


def rows(files: Files, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[name].splitlines()]


def write(files: Files, name: str, lines: list[dict[str, Any]]) -> None:
    files[name] = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def write_journal(files: Files, lines: list[dict[str, Any]]) -> None:
    """With the numbers a journal without that fact would carry, so that the gap is not what is found."""
    write(files, "venue.jsonl", [line | {"seq": seq} for seq, line in enumerate(lines, 1)])


def write_ledger(files: Files, lines: list[dict[str, Any]]) -> None:
    """A ledger whose chain is right: whoever changed the fact also made the hashes anew."""
    prev, sealed = "0" * 64, []
    for seq, line in enumerate(lines, 1):
        linked = {key: value for key, value in line.items() if key != "h"} | {"seq": seq, "prev": prev}
        body = json.dumps(linked, sort_keys=True, separators=(",", ":"))
        prev = hashlib.sha256((prev + body).encode()).hexdigest()
        sealed.append(linked | {"h": prev})
    write(files, LEDGER, sealed)


def write_orders(files: Files, lines: list[dict[str, Any]]) -> None:
    """An operators' log with its chain."""
    prev, sealed = "0" * 64, []
    for line in lines:
        body = json.dumps({"v": 1, "by": "alice", **line}, separators=(",", ":"))
        h = hashlib.sha256((prev + body).encode()).hexdigest()
        sealed.append(f'{body[:-1]},"prev":"{prev}","h":"{h}"}}\n')
        prev = h
    files["operators.jsonl"] = "".join(sealed).encode()


def killed(since: float, until: float) -> list[dict[str, Any]]:
    """What the operators' log has of a kill switch that was pulled and reset."""
    on, off = ({"id": word, "task": "stack.kill-switch", "options": {word: True}} for word in ("on", "off"))
    return [on | {"phase": "ordered", "t": since}, on | {"phase": "done", "t": since + 3, "exit_code": 0},
            off | {"phase": "ordered", "t": until}, off | {"phase": "done", "t": until + 1, "exit_code": 0}]  # fmt: skip


def damage(files: Files, number: int) -> tuple[int, bytes]:
    """Overwrite a ledger line; where it starts, and what it is now."""
    raw = files[LEDGER].split(b"\n")
    raw[number] = b"\xff" * len(raw[number])
    files[LEDGER] = b"\n".join(raw)
    return sum(len(line) + 1 for line in raw[:number]), raw[number]


def put_aside(files: Files, offset: int, raw: bytes) -> None:
    entry = {"offset": offset, "why": "not JSON", "raw": base64.b64encode(raw).decode()}
    write(files, "quarantine-trader-a.jsonl", [entry])


def document(files: Files, name: str, change: Callable[[Any], object]) -> None:
    value = json.loads(files[name])
    change(value)
    files[name] = json.dumps(value).encode()


def of_kind(lines: list[dict[str, Any]], kind: str, **keys: object) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == kind and all(line.get(k) == v for k, v in keys.items())]


def client_order_id(signal: str, epoch: int = EPOCH, strategy: str = "mix") -> str:
    return f"x-{strategy}-{epoch}-{base64.b32encode(hashlib.sha256(signal.encode()).digest()).decode()[:20]}"


def grown() -> Files:
    """The recorded history with what the stack has written since: ids with epochs, signed instants, a 429 that was
    respected, signals from outside, a reconciliation at the start, processes, state files, a kill switch that was pulled at the end."""
    files = recorded()
    new_ids = {row["client_order_id"]: client_order_id(row["signal"]) for row in rows(files, "orders.jsonl")}
    for old, new in new_ids.items():
        files = {name: data.replace(old.encode(), new.encode()) for name, data in files.items()}
    _grow_journal(files)
    files = _from_outside(files)
    lines = rows(files, LEDGER)
    gate = {"v": 1, "kind": "GATE", "client_order_id": "", "gate": "reconcile", "reason": "takes over"}
    shut = [gate | {"t": lines[0]["t"] - 0.2, "on": True}, gate | {"t": lines[0]["t"] - 0.1, "on": False}]
    write_ledger(files, [*shut, *lines])
    granted = {"epoch": EPOCH, "instance": "trader-a", "granted_t": lines[0]["t"] - 0.3}
    write(files, "epochs.jsonl", [granted | {"epoch": 2, "instance": "trader-b"}, granted])
    write(files, "processes.json", [{"trader-a": {"trader": {"pid": 30, "start_ticks": 900, "spawns": 1}},
                                     "venue": {"venue": {"pid": 31, "start_ticks": 905, "spawns": 1}}}])  # fmt: skip
    files["state-files.json"] = b'{"trader-a":{},"trader-b":{}}'
    over = rows(files, "venue.jsonl")[-1]["t"]
    write_orders(files, killed(over + 2, over + 22))
    before = json.loads(files["processes.json"])
    _grow_market_data(files)
    asked = ["epochs", "state-files", "throttling", "feeder", "bus", "operators"]
    document(files, "meta.json", lambda m: m.update(asked=asked, processes_before={"processes": before}))
    return files


def _from_outside(files: Files) -> Files:
    """Some orders were for signals from outside, and the ledger has them as they came."""
    for number, row in enumerate(rows(files, "orders.jsonl")[OUTSIDE]):
        signal = f"ext:caller-{number}"
        new = {row["client_order_id"]: client_order_id(signal, strategy="ext"), f'"{row["signal"]}"': f'"{signal}"'}
        for old, mine in new.items():
            files = {name: data.replace(old.encode(), mine.encode()) for name, data in files.items()}
    lines: list[dict[str, Any]] = []
    for line in rows(files, LEDGER):
        if line["kind"] == "INTENT" and line["signal"].startswith("ext:"):
            asked = {key: line[key] for key in ("symbol", "side", "type", "price", "qty")}
            signal = line["signal"].removeprefix("ext:")
            lines.append({"v": 1, "kind": "SIGNAL", "t": line["t"] - 0.01, "client_order_id": "", "signal": signal, **asked})
        lines.append(line)
    write_ledger(files, lines)
    return files


def _grow_market_data(files: Files) -> None:
    """The feeder had every trade, the last five by backfill; each of its books is the venue's; the bus kept its order."""
    made = {line["trade_id"]: line["symbol"] for line in of_kind(rows(files, "venue.jsonl"), "TRADE")}
    books, bus = {}, []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        trades = sorted(number for number, its in made.items() if its == symbol)
        lines = [{"what": "depth", "first": 100, "last": 100, "how": "snapshot"},
                 {"what": "depth", "first": 101, "last": 160, "how": "stream"},
                 *({"what": "trades", "first": n, "last": n, "how": "stream"} for n in trades[:-5]),
                 {"what": "depth", "first": 180, "last": 180, "how": "snapshot"},
                 {"what": "depth", "first": 181, "last": 200, "how": "stream"},
                 *({"what": "trades", "first": n, "last": n, "how": "backfill"} for n in trades[-5:])]  # fmt: skip
        write(files, f"md-{symbol}.jsonl", [{"t": 1.0, **line} for line in lines])
        books[symbol] = {
            "lastUpdateId": 200,
            "synced": True,
            "bids": [["99.9", "2"], ["99.8", "1.5"]],
            "asks": [["100.1", "3"]],
        }
        bus += [{"id": f"{symbol}:depth:{n}", "key": symbol, "run": 7, "n": n} for n in range(1, 31)]
    files["books.json"] = json.dumps(books).encode()
    files["depth.json"] = files["books.json"].replace(b'"99.9", "2"', b'"99.90", "2.000"')
    write(files, "bus.jsonl", [*bus, bus[40]])  # one came again
    reader = {"messages": 400, "lag": 0, "out_of_order": 0, "malformed": 0}
    files["consumers.json"] = json.dumps({"trader-a": reader, "trader-b": reader}).encode()


def _grow_journal(files: Files) -> None:
    lines = rows(files, "venue.jsonl")
    for line in of_kind(lines, "REQUEST"):
        line["timestamp"] = int(line["t"] * 1000) - 1
    late = next(i for i, line in enumerate(lines) if i > 150 and line["kind"] == "REQUEST")
    told = {"kind": "THROTTLED", "account": "desk", "remote": lines[late]["remote"], "status": 429, "code": -1003,
            "retry_after_s": 1, "used_weight": 40, "t": lines[late - 1]["t"], "until": lines[late]["t"]}  # fmt: skip
    write_journal(files, [*lines[:late], told, *lines[late:]])
