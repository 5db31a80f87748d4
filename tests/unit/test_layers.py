"""Imports go down the layers, never up; and the engine knows neither the trading stack nor the backends."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from stormdesk.faults import FAULTS
from tests.unit.test_purity import ROOT, imported

# Each room may import itself and those to its right. `faults` are plans, so they need no more than what plans are made of.
MAY = {
    "core": (),
    "mechanism": ("core",),
    "witness": ("core",),
    "host": ("core",),
    "faults": ("core", "mechanism", "witness", "host"),
    "ssh": ("core",),
    "evidence": ("core", "host", "ssh"),
    "run": ("core", "witness", "host", "ssh", "evidence", "checks"),
    "checks": ("core", "ssh", "evidence", "run", "cli", "infra"),
    "desk": ("core", "host", "ssh", "evidence", "run", "testnet"),
    "cli": ("core", "host", "ssh", "evidence", "run", "desk", "faults", "checks", "infra", "testnet"),
}
ANYWHERE = {"durable", "own", "__version__"}  # single files beside the rooms


def files_of(room: str) -> list[Path]:
    folder = ROOT / room if room in ("faults", "checks") else ROOT / "stormdesk" / room
    return sorted(folder.rglob("*.py"))


def climbing(room: str, source: str) -> list[str]:
    """The imports of a file that its room may not have, as `line: module`."""
    found = []
    for line, module in imported(ast.parse(source)):
        parts = module.split(".")
        if parts[0] == "stormdesk" and len(parts) > 1 and parts[1] not in (room, *MAY[room], *ANYWHERE):
            found.append(f"{line}: {module}")
    return found


@pytest.mark.parametrize("room", [room for room in MAY if files_of(room)])
def test_imports_go_down(room: str) -> None:
    bad = [f"{path.relative_to(ROOT)}:{found}" for path in files_of(room) for found in climbing(room, path.read_text())]
    assert bad == []


def test_every_folder_of_the_engine_is_a_room() -> None:
    folders = {path.parent.name for path in (ROOT / "stormdesk").glob("*/*.py") if not path.parent.is_symlink()}
    assert folders <= set(MAY)


@pytest.mark.parametrize("room", ["core", "ssh", "run", "evidence"])
def test_the_engine_knows_no_stack(room: str) -> None:
    assert not {"desk", "infra", "testnet", "cli"} & set(MAY[room])
    for planted in ("from stormdesk.desk import pulse", "import stormdesk.infra.home", "from stormdesk import testnet"):
        assert climbing(room, planted)


@pytest.mark.parametrize("room", sorted(set(MAY) - {"faults", "checks"}))
def test_the_engine_names_no_fault(room: str) -> None:
    """What a run must know of its fault is in its plan. `noop` is also an ordinary word, so it is not looked for."""
    faults = [(name, kind) for name, kind in FAULTS.items() if name != "noop"]
    modules = [kind.__module__.rpartition(".")[2] for _, kind in faults]
    names = [word for name, kind in faults for word in (name, kind.__name__)] + [rf"\b{module}\b" for module in modules]
    files = [path for path in (ROOT / "stormdesk" / room).rglob("*") if path.suffix in (".py", ".sh", ".awk")]
    assert [(str(path), name) for path in files for name in names if re.search(name, path.read_text())] == []


@pytest.mark.parametrize("room", [room for room in MAY if room not in ("faults", "checks") and files_of(room)])
def test_each_room_says_what_belongs_in_it(room: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / "stormdesk" / room / "__init__.py").read_text()))
