"""Small histories of one run, in which situations are looked for. The run begins at 100, its fault is in from 110 to 120."""

from __future__ import annotations

import base64
import json
from typing import Any, Self

from stormdesk.core.journal import Event
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.cut import Cut

FULL = "disk full: [Errno 28] No space left on device"
FAULT = {"event": "S4.injected", "host": "a", "t": 110.5, "injected_t": 110.0}
LIFTED = {"event": "S8.verified", "host": "a", "t": 121.0, "lifted_t": 120.0}


class History:
    """A run that goes well; each method adds something to it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = [{"event": "run.started", "t": 100.0, "fault": "cut"}, FAULT, LIFTED]
        self.files: dict[str, list[dict[str, Any]]] = {
            "venue.jsonl": [], "ledger-a.jsonl": [], "ledger-b.jsonl": [], "orders.jsonl": [], "fills.jsonl": [], "epochs.jsonl": [],
            "bus.jsonl": [], "md-X.jsonl": [],
        }  # fmt: skip
        self.states: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
        self.venue("OPEN", 1, accounts={"desk": {"X": "1"}})
        self.epoch(1, "a", 50).received(60, "snapshot").received(105, "stream").bus("m1").bus("m2")
        self.order("calm", intent=104, request=104.1, accepted=104.2, ack=104.3, trades=((104.5, "1"),))
        self.sample(105, accepted=5).sample(113, accepted=9).sample(125, accepted=20)

    def venue(self, kind: str, t: float, **keys: Any) -> Self:
        lines = self.files["venue.jsonl"]
        lines.append({"seq": len(lines) + 1, "t": t, "kind": kind, **keys})
        return self

    def ledger(self, kind: str, t: float, host: str = "a", **keys: Any) -> Self:
        lines = self.files[f"ledger-{host}.jsonl"]
        lines.append({"seq": len(lines) + 1, "t": t, "kind": kind, **keys})
        return self

    def order(
        self, name: str, *, host: str = "a", qty: str = "1", request: float = 0, accepted: float = 0, ended: float = 0,
        trades: tuple[tuple[float, str], ...] = (), **lines: float,
    ) -> Self:  # fmt: skip
        """An order; `lines` are those of its ledger, by their kinds in small letters."""
        for kind, t in lines.items():
            self.ledger(kind.upper(), t, host, client_order_id=name)
        its = {"client_order_id": name, "account": "desk", "symbol": "X", "side": "BUY"}
        if request:
            self.venue("REQUEST", request, method="POST", **its)
        if accepted:
            self.venue("ACCEPTED", accepted, order_id=7, qty=qty, **its)
        for n, (t, part) in enumerate(trades):
            money = {"price": "1", "quote_qty": "1", "fee": "0", "fee_asset": "X"}
            self.venue("TRADE", t, order_id=7, trade_id=len(self.files["venue.jsonl"]) + n, qty=part, **its, **money)
        if ended:
            self.venue("CANCELED", ended, order_id=7, **its)
        return self

    def gate(self, name: str, since: float, until: float = 0, host: str = "a") -> Self:
        self.ledger("GATE", since, host, gate=name, on=True)
        return self.ledger("GATE", until, host, gate=name, on=False) if until else self

    def skip(self, reason: str, t: float = 112) -> Self:
        return self.ledger("SKIP", t, reason=reason, signal="s")

    def epoch(self, number: int, instance: str, t: float) -> Self:
        self.files["epochs.jsonl"].append({"epoch": number, "instance": instance, "granted_t": t})
        return self

    def received(self, t: float, how: str) -> Self:
        self.files["md-X.jsonl"].append({"t": t, "what": "depth", "first": int(t), "last": int(t), "how": how})
        return self

    def bus(self, name: str) -> Self:
        self.files["bus.jsonl"].append({"id": name, "key": "X", "run": 1, "n": 1})
        return self

    def row(self, state: str, reason: str, t: float = 112) -> Self:
        self.files["orders.jsonl"].append({"client_order_id": "r", "state": state, "reason": reason, "created_t": t})
        return self

    def state(self, path: str, content: str, host: str = "a") -> Self:
        self.states[host][path] = {"mtime": 112.0, "content": content}
        return self

    def aside(self) -> Self:
        self.files["quarantine-a.jsonl"] = [{"offset": 10_000, "raw": base64.b64encode(b"x").decode()}]
        return self

    def sample(
        self, t: float, health: dict[str, Any] | None = None, *, silent: bool = False, phase: str = "hold", **numbers: float
    ) -> Self:
        metrics = {"leaders": 1.0, "ready": 1.0, "accepted": 9.0, "refused": 0.0, **numbers}
        self.events.append({"event": "sample", "t": t, "phase": phase, "metrics": None if silent else metrics, "health": health or {}})
        return self

    def fault(self, name: str, since: float, until: float, host: str = "b") -> Self:
        """One more fault, on another host."""
        self.events.append({"event": "S4.injected", "host": host, "t": since, "injected_t": since})
        self.events.append({"event": "S8.verified", "host": host, "t": until, "lifted_t": until})
        return self

    def said(self, event: str, t: float, **keys: Any) -> Self:
        self.events.append({"event": event, "t": t, **keys})
        return self

    @property
    def run(self) -> tuple[list[Event], Cut]:
        files = {name: b"".join(json.dumps(line).encode() + b"\n" for line in lines) for name, lines in self.files.items()}
        cut = cuts.parse(files | {"state-files.json": json.dumps(self.states).encode()})
        for rows in (cut.venue, cut.orders, cut.epochs, cut.bus, *(ledger.lines for ledger in cut.ledgers)):
            assert not rows.problem
        assert not cut.received_problem
        return sorted(self.events, key=lambda event: event["t"]), cut
