"""Pure rooms decide, one I/O room acts: walks the syntax trees of the pure files, and checks import names everywhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IO_MODULES = {"socket", "ssl", "paramiko", "subprocess", "threading", "asyncio", "time", "os", "shutil", "tempfile"}
# What reaches I/O by another name: our own I/O rooms, and modules that only exist to do it.
ACTING = ("rest_acts", "venue_acts", "control")  # of the venue's faults: these carry out what the others decide
PURE_INFRA = ("topology", "stacks", "entries", "rewriting", "exports", "packages")
OTHER_INFRA = [path.stem for path in (ROOT / "infra").iterdir() if path.stem not in ("__init__", *PURE_INFRA)]
PURE_ROOMS = ("core", "mechanism", "witness", "evidence/judges", "evidence/cut", "evidence/situations")  # every file in them
PURE_FILES = {  # in rooms that act
    "host": ("library", "render", "probe", "volumes", "network", "targets"),
    "evidence": (
        "metrics",
        "steady",
        "report",
        "page",
        "scorecard",
        "chaos_log",
        "story",
        "waiting",
        "chart",
        "timeline",
        "svg",
        "lanes",
        "timeline_lanes",
        "signs",
        "comparing",
        "findings",
        "sections",
        "sentence",
        "tables",
        "page_style", "tiles", "runs_index", "board", "live_page",
    ),
    "desk": ("pulse", "venue_faults"),
    "cli": ("fault_flags", "menu", "inventories", "ansible", "tokens"),
    "run": ("open_runs",),
    "ssh": ("noshell",),
}
IO_ROOMS_OF_OTHERS = {"importlib", "ctypes", "multiprocessing", "concurrent", "secrets", "uuid", "urllib", "http"}
IO_CALLS = {
    *("open", "print", "input", "exec", "eval", "__import__"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "rmdir", "unlink", "touch", "rename"),
    *("iterdir", "rglob", "exists", "is_file", "is_dir", "is_symlink", "stat", "lstat", "resolve", "readlink"),
    *("now", "utcnow", "today", "urandom", "token_hex"),
}
TOP_LEVEL = {"faults", "checks", "infra", "testnet"}


def pure_files() -> list[Path]:
    """Every file that DESIGN's rule of the house names, and those that keep to it in rooms that act."""
    engine = ROOT / "stormdesk"
    rooms = [path for room in PURE_ROOMS for path in (engine / room).rglob("*.py")]
    single = [engine / room / f"{name}.py" for room, names in PURE_FILES.items() for name in names]
    faults = list((ROOT / "faults").rglob("*.py"))
    stack = [ROOT / f"infra/{name}.py" for name in PURE_INFRA]
    venue = [path for path in (ROOT / "testnet/venue/faults").glob("*.py") if path.stem not in ACTING]
    return sorted([engine / "own.py", *rooms, *single, *faults, *stack, *venue])


def module_of(path: Path) -> str:
    """The dotted name of a file of the checkout."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return name if name.startswith("stormdesk") else f"stormdesk.{name}"


def io_rooms() -> set[str]:
    """The modules of the engine that act: all that are not pure, and those of infra/."""
    pure = set(pure_files())
    links = ("checks", "faults", "infra", "testnet")
    acting = [
        path
        for path in (ROOT / "stormdesk").rglob("*.py")
        if path not in pure
        and path.name not in ("__init__.py", "tasks.py")
        and path.relative_to(ROOT).parts[1] not in links
    ]
    return {
        *map(module_of, acting),
        *(f"stormdesk.infra.{name}" for name in OTHER_INFRA),
        "stormdesk.ssh",
        "stormdesk.run",
    }


IO_ROOMS = io_rooms()


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import anywhere in a tree, `from a import b` as both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def impurities(source: str) -> list[str]:
    """What a pure file must not have, as `line: what`."""
    tree = ast.parse(source)
    found = []
    for line, module in imported(tree):
        top = module.split(".")[0]
        rooms = any(module == room or module.startswith(room + ".") for room in IO_ROOMS)
        if top in IO_MODULES | IO_ROOMS_OF_OTHERS or rooms or module.startswith("."):
            found.append(f"{line}: imports {module}")
        if top == "random" and module not in ("random", "random.Random"):
            found.append(f"{line}: takes randomness from {module} instead of an argument")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in IO_CALLS:
                found.append(f"{node.lineno}: calls {name}()")
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("random.") and node.attr != "Random":
            found.append(f"{node.lineno}: takes randomness from random.{node.attr} instead of an argument")
    return found


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_files_do_no_io(path: Path) -> None:
    assert impurities(path.read_text()) == []


def test_the_pure_files_are_really_checked() -> None:
    names = {str(path.relative_to(ROOT)) for path in pure_files()}
    assert len(names) >= 15
    assert {
        "stormdesk/core/model.py",
        "stormdesk/core/shell.py",
        "faults/disk/disk_full.py",
        "infra/topology.py",
    } <= names


@pytest.mark.parametrize(
    "planted",
    [
        *(f"import {name}" for name in sorted(IO_MODULES)),
        "from os import environ",
        "import os.path",
        "def f():\n    import time",
        "def f():\n    from subprocess import run",
        "import socket as harmless",
        "from stormdesk.ssh import pool",
        "from stormdesk import run",
        "from stormdesk.evidence import take_cut",
        "from stormdesk.infra import home",
        "from stormdesk.infra.backends.lab import control",
        "from . import front",
        "import importlib",
        "x = open('y')",
        "from pathlib import Path\nx = Path('y').read_text()",
        "from pathlib import Path\nPath('y').write_bytes(b'')",
        "from pathlib import Path\nx = Path('y').exists()",
        "__import__('o' + 's')",
        "import random\nx = random.random()",
        "from random import choice",
        "from datetime import datetime\nx = datetime.now()",
    ],
)
def test_a_planted_impurity_is_detected(planted: str) -> None:
    clean = (ROOT / "stormdesk/core/model.py").read_text()
    assert impurities(clean) == []
    assert impurities(f"{clean}\n{planted}\n") != []


def shipped_files() -> list[Path]:
    """Every Python file of the checkout, each once: the links in stormdesk/ show the top-level folders again."""
    folders = ("stormdesk", "faults", "checks", "infra", "testnet", "tests")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path == path.resolve()]
    return [*found, *ROOT.glob("*.py")]


def test_nothing_imports_the_top_level_folders_by_their_short_names() -> None:
    files = shipped_files()
    assert len(files) > 40
    bad = [
        f"{path.relative_to(ROOT)}:{line}: imports {module}"
        for path in files
        for line, module in imported(ast.parse(path.read_text()))
        if module.split(".")[0] in TOP_LEVEL
    ]
    assert bad == []


def test_an_import_by_a_short_name_is_detected() -> None:
    planted = "from faults import FAULTS\nimport infra.topology\nfrom stormdesk.faults import FAULTS as real\n"
    assert [module for _, module in imported(ast.parse(planted)) if module.split(".")[0] in TOP_LEVEL] == [
        "faults",
        "faults.FAULTS",
        "infra.topology",
    ]


@pytest.mark.parametrize("room", ["faults", "checks", "infra", "testnet"])
def test_the_import_names_lead_to_the_top_level_folders(room: str) -> None:
    assert (ROOT / "stormdesk" / room).resolve() == ROOT / room
    assert (ROOT / room / "__init__.py").is_file()


@pytest.mark.parametrize("name", ["runbooks", "tasks.py"])
def test_there_is_one_list_of_tasks_and_one_folder_of_runbooks(name: str) -> None:
    assert (ROOT / "stormdesk" / name).readlink() == Path("..") / name


HEAVY = (
    "paramiko",
    "asyncio",
    "aiohttp",
    "psycopg",
    "redis",
    "jinja2",
    "rich",
    "pytest",
    "testinfra",
    "yaml",
    "socket",
)


def test_importing_every_pure_file_loads_nothing_heavy() -> None:
    """What the menu and `--plan` need of the engine must not cost a connection library: asked in a new interpreter."""
    modules = list(map(module_of, pure_files()))
    allowed = dict.fromkeys(
        ("reading", "runbook", "runbook_goals", "runbook_matrix", "runbook_roles", "runbook_steps"), ("yaml",)
    ) | dict.fromkeys(("report", "runs_index"), ("jinja2",))
    for module in modules:
        code = f"import sys, {module}; print([name for name in sys.argv[1:] if name in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, timeout=30, check=True
        )
        loaded = set(ast.literal_eval(done.stdout)) - set(allowed.get(module.rpartition(".")[2], ()))
        assert loaded == set(), f"{module} loads {loaded}"
