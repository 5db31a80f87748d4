"""Imports are declared: as dependencies, or, if only the trading stack needs them, in the extra `lab`."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra.backends.lab import control
from tests.unit.test_purity import ROOT, imported

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CARD = {"pulumi", "pulumi-docker", "paramiko", "invoke", "pytest-testinfra"}  # everybody gets these
ROOMS = ("stormdesk", "faults", "checks", "infra")
BLOCKED = """
import importlib, pkgutil, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import stormdesk
names = [m.name for m in pkgutil.walk_packages(stormdesk.__path__, "stormdesk.") if not m.name.endswith("__main__")]
wanted = [name for name in names if not name.startswith("stormdesk.testnet.")]
for name in wanted:
    importlib.import_module(name)
print(len(wanted))
"""


def names_of(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[<>=;~! ]", line)[0].lower() for line in requirements}


BASE = names_of(PROJECT["dependencies"])
LAB = names_of(PROJECT["optional-dependencies"]["lab"])


def foreign(rooms: Iterable[str]) -> Mapping[str, set[str]]:
    """What the files of some rooms import of others: by package, as it is declared, the files."""
    packages = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        if path.is_relative_to(ROOT / "stormdesk") and path != path.resolve():
            continue  # a link to what lies at the top
        for _, module in imported(ast.parse(path.read_text())):
            top = module.partition(".")[0]
            if top and top not in sys.stdlib_module_names and top != "stormdesk":
                name = packages.get(top, [top])[0].lower().replace("_", "-")
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def test_what_everybody_runs_is_a_dependency_and_nothing_else_is() -> None:
    assert {name: files for name, files in foreign(ROOMS).items() if name not in BASE} == {}
    assert BASE - set(foreign(ROOMS)) == set()
    assert BASE >= CARD


def test_what_only_the_stack_runs_is_in_the_extra_lab_and_nothing_else_is() -> None:
    assert {name: files for name, files in foreign(["testnet"]).items() if name not in BASE | LAB} == {}
    assert LAB - set(foreign(["testnet"])) == set()
    assert not BASE & LAB


def test_an_undeclared_import_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/planted.py").write_text(
        "def f():\n    from rich.console import Console\n    import redis.asyncio\n"
    )
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert foreign(["infra"]) == {"rich": {"infra/planted.py"}, "redis": {"infra/planted.py"}}


def test_without_the_extra_all_but_the_stack_can_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *control.LIBRARIES], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 100


def test_a_lab_without_the_extra_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control.os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/true")
    monkeypatch.setattr(control, "find_spec", lambda name: None if name in ("redis", "yarl") else object())
    with pytest.raises(RefusedError) as refused:
        control.require()
    assert str(refused.value) == "the lab's services need redis, yarl. Type: pip install 'stormdesk[lab]'"


def test_the_extra_is_what_the_lab_asks_for() -> None:
    packages = packages_distributions()
    assert {packages[name][0].lower().replace("_", "-") for name in control.LIBRARIES} == LAB
