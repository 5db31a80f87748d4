"""A project's own faults, checks and runbooks: found by its invoke.yaml; unusable ones are named in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stormdesk.cli import catalogue, runbooks
from stormdesk.core.errors import UsageError
from stormdesk.faults import FAULTS
from stormdesk.run import settings

CHECKOUT = Path(__file__).resolve().parents[2] / "runbooks"
OURS = [path.stem for path in sorted(CHECKOUT.rglob("*.md"), key=lambda path: (path.parent, path.name))]
GOOD = """
from dataclasses import dataclass, field

@dataclass(frozen=True)
class Stall:
    name = "stall"
    title = undo = "it"
    needs = ()
    may_cut_control = False
    grace: str = field(default="", metadata={"help": "how long"})
    def probes(self, site): ...
    def plan(self, facts, site, ttl_s): ...

FAULTS = {"stall": Stall}
"""
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A project in an empty folder of its own, and we are in it; `make(block, **modules)`."""

    def project(block: str, **modules: str) -> Path:
        (tmp_path / "invoke.yaml").write_text(f"run: {{}}\nstormdesk:\n{block}")
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / "deep/er").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "deep/er")
        monkeypatch.setattr(sys, "path", list(sys.path))
        for name in modules:
            monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    return project


def test_a_fault_of_the_project_is_in_the_catalogue(make: Make) -> None:
    make("  faults: [good_one]\n", good_one=GOOD)
    assert catalogue.found().problems == ()
    assert list(catalogue.faults()) == [*FAULTS, "stall"]
    assert catalogue.named("stall").title == "it"
    with pytest.raises(UsageError, match=r"no fault 'stal'\. Did you mean: stall\?"):
        catalogue.named("stal")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise RuntimeError('a\\nb')", "bad_one (in {root}/invoke.yaml): RuntimeError: a b; its faults are left out"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("FAULT = {}", "AttributeError"),
        ("FAULTS = 5", "TypeError"),
        ("FAULTS = {'stall': 5}", "fault stall is no dataclass; it is left out"),
        (GOOD.replace("needs = ()", ""), "fault stall has no needs"),
        (GOOD.replace("    def plan", "    def plans"), "fault stall has no plan"),
        (GOOD.replace('{"stall": Stall}', '{"other": Stall}'), "fault other calls itself stall"),
        (GOOD.replace(', metadata={"help": "how long"}', ""), "parameter grace of fault stall has no help"),
    ],
)
def test_an_unusable_plugin_is_left_out_and_named(make: Make, text: str, says: str) -> None:
    root = make("  faults: [bad_one, good_one]\n", bad_one=text, good_one=GOOD.replace("stall", "other-one"))
    (line,) = catalogue.found().problems
    assert says.format(root=root) in line
    assert line.isprintable()
    assert list(catalogue.faults()) == [*FAULTS, "other-one"]
    with pytest.raises(UsageError) as caught:
        catalogue.named("stall")
    assert line in str(caught.value)


def test_two_faults_of_one_name_are_both_reported_and_left_out(make: Make) -> None:
    make("  faults: [good_one]\n", good_one=GOOD.replace("stall", "disk-full"))
    (line,) = catalogue.found().problems
    assert line.startswith("two faults are called disk-full: stormdesk.faults.disk.disk_full and good_one (in ")
    assert list(catalogue.faults()) == [name for name in FAULTS if name != "disk-full"]


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("  fault: [x]\n", "unknown field `fault`"),
        ("  checks: nowhere\n", "Expected `array`"),
        ("  checks: [nowhere]\n", "nowhere: no such folder"),
        ("  faults: [1]\n", "Expected `str`"),
        ("  [\n", "stormdesk: "),
        ("  5\n", "Expected `object`"),
    ],
)
def test_a_wrong_block_is_reported_and_loses_no_fault(make: Make, block: str, says: str) -> None:
    root = make(block)
    with pytest.raises(UsageError) as caught:
        settings.load()
    assert str(caught.value).startswith(f"{root}/invoke.yaml: stormdesk: ")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert catalogue.found().problems == (str(caught.value),)
    assert list(catalogue.faults()) == list(FAULTS)


def test_a_project_without_a_block_has_nothing_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"disk-full-trader", "kill-feeder", "leader-loss"} <= set(OURS)
    assert settings.load() == settings.Settings(root=tmp_path)
    assert [path.stem for path in runbooks.known()] == OURS


def test_own_runbooks_come_first_and_hide_ours_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "days").mkdir()
    for name in ("zebra", "disk-full-trader"):
        (tmp_path / f"days/{name}.md").write_text("")
    (tmp_path / "invoke.yaml").write_text("stormdesk: {runbooks: [days]}\n")
    monkeypatch.chdir(tmp_path)
    found = {path.stem: path for path in runbooks.known()}
    assert sorted(found) == sorted([*OURS, "zebra"])
    assert found["disk-full-trader"] == tmp_path / "days/disk-full-trader.md"


def test_runbooks_are_found_in_the_folders_of_their_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("days/later.md", "days/disk/full.md", "days/net/deep/cut.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "invoke.yaml").write_text("stormdesk: {runbooks: [days]}\n")
    monkeypatch.chdir(tmp_path)
    found = [path for path in runbooks.known() if path.is_relative_to(tmp_path)]
    assert [(runbooks.family(path), path.stem) for path in found] == [
        ("", "later"), ("disk", "full"), ("net/deep", "cut"),
    ]  # fmt: skip
    assert runbooks.family(Path("days/disk/full.md")) == "disk"
    assert runbooks.family(tmp_path / "elsewhere.md") == ""


def test_two_runbooks_of_one_name_are_an_error_that_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("days/disk/full.md", "days/net/full.md"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("")
    (tmp_path / "invoke.yaml").write_text("stormdesk: {runbooks: [days]}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"/days/disk/full\.md and .*/days/net/full\.md: two runbooks named full\."):
        runbooks.known()
