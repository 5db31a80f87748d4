"""The JSON Schemas of docs/formats/schemas: made from the structs that write and read the documents.

`invoke dev.schemas` writes them. Each schema of a document that is written names every
key: an unknown one is an error. Those of the cut's sources are what the judges read; other keys are allowed there.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from stormdesk.core import audit, event_parts, events
from stormdesk.core.inventory import Document as Inventory
from stormdesk.core.plan import Plan
from stormdesk.desk import operators_log
from stormdesk.evidence.cut import lines as cut
from stormdesk.evidence.scorecard import Scorecard
from stormdesk.run.suite_file import SuiteFile
from stormdesk.testnet.bus.consumer import Envelope
from stormdesk.testnet.feeder import config as feeder
from stormdesk.testnet.feeder.gaps import Gap
from stormdesk.testnet.feeder.records import Heartbeat, Received
from stormdesk.testnet.guard import config as guard
from stormdesk.testnet.guard import files as guard_files
from stormdesk.testnet.guard.stages import Saved
from stormdesk.testnet.ledger import lines as ledger
from stormdesk.testnet.orchestrator import poller as orchestrator
from stormdesk.testnet.orchestrator.state import State
from stormdesk.testnet.prober import __main__ as prober
from stormdesk.testnet.trader import config as trader
from stormdesk.testnet.trader.gates import breakers, repeats, signatures
from stormdesk.testnet.trader.gates.kill_switch import KillSwitchState
from stormdesk.testnet.trader.gates.pause import PauseState
from stormdesk.testnet.trader.snapshot import Snapshot
from stormdesk.testnet.venue import events as venue
from stormdesk.testnet.venue import keys

FOLDER = Path(__file__).parents[2] / "docs" / "formats" / "schemas"

# What writes it names every key. A name with .jsonl is the schema of one line.
WRITTEN: Mapping[str, Any] = {
    "inventory.json": Inventory,
    "events.jsonl": events.Event,
    "audit.jsonl": audit.Entry,
    "during.jsonl": event_parts.Reading,
    "plan.json": tuple[Plan, ...],
    "scorecard.json": Scorecard,
    "suite.json": SuiteFile,
    "operators.jsonl": operators_log.Entry,
    "journal.jsonl": venue.Line,
    "ledger.jsonl": ledger.Entry,
    "positions_snapshot.json": Snapshot,
    "kill_switch_state.json": KillSwitchState,
    "pause_state.json": PauseState,
    "repeats_state.json": repeats.Document,
    "circuit_breaker.json": breakers.Document,
    "order_sigs.json": signatures.Document,
    "envelope.json": Envelope,
    "md.jsonl": Received,
    "gaps.jsonl": Gap,
    "feeder.heartbeat.json": Heartbeat,
    "autoheal_state.json": Saved,
    "alert.json": guard_files.Alert,
    "global_flags.json": guard_files.Flags,
    "state_bus.json": State,
    "venue-config.json": keys.Config,
    "feeder-config.json": feeder.Config,
    "trader-config.json": trader.Config,
    "guard-config.json": guard.Config,
    "orchestrator-config.json": orchestrator.Config,
    "prober-config.json": prober.Config,
    "cut-meta.json": cut.Meta,
    "cut-processes.json": cut.Processes,
    "cut-residue.json": dict[str, cut.Residue],
    "cut-state-files.json": dict[str, dict[str, cut.StateFile]],
    "cut-consumers.json": dict[str, cut.Consumer],
}
# What the judges read of it.
READ: Mapping[str, Any] = {
    "cut-balances.json": cut.Balances,
    "cut-orders.jsonl": cut.OrderRow,
    "cut-fills.jsonl": cut.FillRow,
    "cut-positions.jsonl": cut.PositionRow,
    "cut-epochs.jsonl": cut.EpochRow,
    "cut-quarantine.jsonl": cut.Quarantined,
    "cut-books.json": dict[str, cut.Book],
    "cut-bus.jsonl": cut.BusMessage,
}
# The files that each schema is for, by name, wherever they lie: in a run directory or below a service's data folder.
FILES: Mapping[str, tuple[str, ...]] = {
    "events.jsonl": ("events.jsonl",),
    "audit.jsonl": ("audit.jsonl",),
    "during.jsonl": ("during.jsonl",),
    "plan.json": ("plan.json",),
    "scorecard.json": ("scorecard.json",),
    "journal.jsonl": ("venue.jsonl", "journal.jsonl"),
    "ledger.jsonl": ("ledger-*.jsonl", "ledger.jsonl"),
    "positions_snapshot.json": ("positions_snapshot.json",),
    "kill_switch_state.json": ("kill_switch_state.json",),
    "pause_state.json": ("pause_state.json",),
    "repeats_state.json": ("repeats_state.json",),
    "circuit_breaker.json": ("circuit_breaker.json",),
    "order_sigs.json": ("order_sigs.json",),
    "md.jsonl": ("md-*.jsonl", "md/*.jsonl"),
    "gaps.jsonl": ("gaps.jsonl",),
    "feeder.heartbeat.json": ("feeder.heartbeat.json",),
    "autoheal_state.json": ("autoheal_state.json",),
    "alert.json": ("alerts/*.json",),
    "global_flags.json": ("global_flags.json",),
    "state_bus.json": ("state_bus.json",),
    "cut-meta.json": ("cut/meta.json",),
    "cut-processes.json": ("processes.json",),
    "cut-residue.json": ("residue.json",),
    "cut-state-files.json": ("state-files.json",),
    "cut-consumers.json": ("consumers.json",),
    "cut-balances.json": ("balances.json",),
    "cut-orders.jsonl": ("orders.jsonl",),
    "cut-fills.jsonl": ("fills.jsonl",),
    "cut-positions.jsonl": ("positions.jsonl",),
    "cut-epochs.jsonl": ("epochs.jsonl",),
    "cut-quarantine.jsonl": ("quarantine-*.jsonl",),
    "cut-books.json": ("books.json",),
    "cut-bus.jsonl": ("bus.jsonl",),
}


def path_of(name: str) -> Path:
    """Where a document's schema is: `events.jsonl` has `events.json`."""
    return FOLDER / f"{Path(name).stem}.json"


def render(name: str) -> str:
    """The schema file of a document."""
    schema = msgspec.json.schema({**WRITTEN, **READ}[name])
    _refine(schema, closed=name in WRITTEN)
    top = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name}
    return json.dumps({**top, **schema}, indent=1, ensure_ascii=False) + "\n"


def _refine(schema: Any, *, closed: bool) -> None:
    """Forbid keys that are not named, if `closed`; take the indentation out of descriptions."""
    if isinstance(schema, dict):
        if closed and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        if isinstance(schema.get("description"), str):
            schema["description"] = inspect.cleandoc(schema["description"])
        for value in schema.values():
            _refine(value, closed=closed)
    elif isinstance(schema, list):
        for value in schema:
            _refine(value, closed=closed)


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(path_of(name).read_text()))


def mistakes(name: str, data: bytes) -> list[str]:
    """What a file has that its schema does not allow: one line for each, with its place."""
    documents = data.splitlines() if name.endswith(".jsonl") else [data]
    return [
        f"{name}:{number}: {error.json_path}: {error.message[:200]}"
        for number, document in enumerate(documents, 1)
        if document.strip()
        for error in _explained(_validator(name).iter_errors(json.loads(document)))
    ]


def _explained(errors: Iterable[Any]) -> Iterable[Any]:
    """Of a choice that failed, the errors of the choice that fits best: its tag is right."""
    for error in errors:
        if error.validator == "anyOf":
            choices: dict[int, list[Any]] = {}
            for inner in error.context:
                choices.setdefault(inner.schema_path[0], []).append(inner)
            yield from _explained(min(choices.values(), key=lambda found: (_tag(found), len(found))))
        else:
            yield error


def _tag(errors: Iterable[Any]) -> bool:
    return any(error.validator in ("const", "enum") for error in errors)


def mistakes_below(folder: Path) -> tuple[list[str], set[str]]:
    """All that is wrong with the documents below a folder, and which schemas had something to look at."""
    found: list[str] = []
    seen: set[str] = set()
    for name, patterns in FILES.items():
        for path in (path for pattern in patterns for path in folder.rglob(pattern)):
            seen.add(name)
            found += mistakes(name, path.read_bytes())
    return found, seen


def main() -> None:
    """Write all schemas; schemas of documents that no longer exist are removed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = {path_of(name): render(name) for name in (*WRITTEN, *READ)}
    for path in FOLDER.glob("*.json"):
        if path not in paths:
            path.unlink()
    for path, text in paths.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
