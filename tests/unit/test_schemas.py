"""The formats of docs/formats: schemas match the structs, and documents match the schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from stormdesk.core import events, inventory
from stormdesk.evidence import report, take_cut
from stormdesk.infra import stacks
from stormdesk.run.record import load
from stormdesk.testnet.guard import files as guard_files
from stormdesk.testnet.guard import stages
from stormdesk.testnet.orchestrator.state import Leader, State, follow, pause, update_alerts
from tests.unit import histories, schemas

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "cases" / "histories" / "disk-full"
PAGES = sorted((ROOT / "docs" / "formats").glob("*.md"))
ALL = {**schemas.WRITTEN, **schemas.READ}
KEY = stacks.Credentials(api_key="key", api_secret="secret")


@pytest.mark.parametrize("name", ALL)
def test_a_schema_is_what_the_structs_give(name: str) -> None:
    path = schemas.path_of(name)
    assert path.is_file() and path.read_text() == schemas.render(name), "run: invoke dev.schemas"  # noqa: PT018
    schemas._validator(name).check_schema(json.loads(path.read_text()))


def test_there_is_no_other_schema_and_each_has_its_place_in_a_page() -> None:
    paths = {schemas.path_of(name) for name in ALL}
    assert len(paths) == len(ALL)
    assert set(schemas.FOLDER.iterdir()) == paths
    text = "".join(page.read_text() for page in PAGES)
    assert {schemas.FOLDER / name for name in re.findall(r"\(schemas/([^)]+)\)", text)} == paths


def test_a_recorded_run_is_as_the_schemas_say() -> None:
    found, seen = schemas.mistakes_below(RUN)
    assert found == []
    assert seen >= {"events.jsonl", "plan.json", "journal.jsonl", "ledger.jsonl", "cut-meta.json", "cut-residue.json",
                    "cut-balances.json", "cut-orders.jsonl", "cut-fills.jsonl", "cut-positions.jsonl"}  # fmt: skip
    card = report.scorecard(load(RUN), take_cut.load(RUN / "cut"))
    assert schemas.mistakes("scorecard.json", json.dumps(card).encode()) == []


def test_every_event_that_is_written_has_a_struct() -> None:
    described = {kind.__struct_config__.tag for kind in get_args(events.Event)}
    source = "".join(path.read_text() for path in (ROOT / "stormdesk" / "run").glob("*.py"))
    written = set(re.findall(r"""\.(?:event|_note)\(\s*"([^"]+)\"""", source))
    assert len(written) > 15
    assert written <= described


def test_the_whole_history_is_as_the_schemas_say(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    for name, data in histories.grown().items():
        (folder / name).write_bytes(data)
    found, seen = schemas.mistakes_below(folder)
    assert found == []
    assert seen >= {"md.jsonl", "cut-epochs.jsonl", "cut-processes.json", "cut-books.json", "cut-bus.jsonl"}


@pytest.mark.parametrize("stack", [stacks.core(KEY), stacks.full(KEY), stacks.scale(12, KEY)], ids=lambda s: s.name)
def test_services_are_configured_as_the_schemas_say(stack: Any) -> None:
    kinds = set()
    for service in stack.services:
        name = f"{service.name}-config.json"
        if name in ALL:
            kinds.add(service.name)
            assert schemas.mistakes(name, msgspec.json.encode(service.config)) == []
    assert kinds == {"venue", "feeder", "trader", "guard", "orchestrator", "prober"}


def test_an_inventory_is_written_as_the_schema_says() -> None:
    host = inventory.InventoryHost(
        name="a", role="trader", address="10.0.0.1", host_key="ssh-ed25519 AA", identity_file=""
    )
    link, service = inventory.Link(interface="eth0", address="10.0.0.1/24"), inventory.ServiceEntry(user="trading")
    full = msgspec.structs.replace(host, networks={"mgmt": link}, services={"trader": service}, paths={"data": "/srv"})
    document = inventory.render(inventory.Inventory(version=1, environment="demo", hosts={"a": full}))
    assert schemas.mistakes("inventory.json", document) == []


def test_a_guard_and_an_orchestrator_write_as_the_schemas_say(tmp_path: Path) -> None:
    files = guard_files.Files(tmp_path, "trader-a")
    files.stop("a test")
    files.save(stages.Saved(stages.Stage.FAILSAFE, 3, "a test"))
    files.alert("failsafe", "a test")
    state = update_alerts(pause(State(), "me", "a test", 1.0), "trader-a", {"failsafe": "a test"}, 2.0)
    (tmp_path / "state_bus.json").write_bytes(msgspec.json.encode(follow(state, [Leader("trader-a", 3)])))
    found, seen = schemas.mistakes_below(tmp_path)
    assert found == []
    assert seen == {"global_flags.json", "autoheal_state.json", "alert.json", "state_bus.json"}


PLANTED: list[tuple[str, dict[str, Any], str]] = [
    ("an event that nobody described", {"event": "S4.guessed"}, "S4.guessed"),
    ("a key that nobody described", {"mood": "good"}, "mood"),
    ("a key of another type", {"exit_code": "0"}, "'0' is not of type 'integer'"),
    ("a word that is none of its own", {"residue": "spotless"}, "spotless"),
]


@pytest.mark.parametrize(("change", "says"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_what_no_schema_allows_is_found(change: dict[str, Any], says: str) -> None:
    good = json.loads((RUN / "events.jsonl").read_bytes().splitlines()[-1])
    assert schemas.mistakes("events.jsonl", json.dumps(good).encode()) == []
    (found,) = schemas.mistakes("events.jsonl", json.dumps({**good, **change}).encode())
    assert says in found
