"""A project's own checks in the engine's runner: the meaning of each exit, and when each check runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormdesk.checks.run import NO_CHECK, run_checks
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.core.model import Argv, Completed, Verdict

HOSTS = {
    name: InventoryHost(name=name, role="engine", address="192.0.2.1", host_key="ssh-ed25519 AAAA", identity_file="/k")
    for name in ("one", "two")
}
INVENTORY = Inventory(version=VERSION, environment="desk", hosts=HOSTS)
CHECKS = """
import pytest

def test_good(on, helper):
    assert on("one").run("echo %s", helper).stdout == "echo helps"

def test_bad(on, where):
    assert where == "one", f"{where} is not well"

def test_odd():
    raise RuntimeError("a\\nb")

def test_not_begun(asserts):
    pass

def test_left_out():
    pytest.skip("not here")

@pytest.mark.invariant
def test_always():
    assert True

@pytest.mark.recovery
def test_again(nothing_of_this_name):
    pass
"""


def answer(host: str, argv: Argv, deadline_s: float) -> Completed:
    """Every host says what it was asked; these checks need no more of one."""
    del host, deadline_s
    return Completed(argv, 0, argv[-1])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef helper():\n    return 'helps'\n"
        "@pytest.fixture\ndef asserts():\n    assert 0, 'no way in'\n"
    )
    (folder / "test_engine.py").write_text(CHECKS)
    return folder


def ended(own: Path, tmp_path: Path, *what: str) -> dict[str, tuple[Verdict, str]]:
    results = run_checks(INVENTORY, answer, what, tmp_path / "cut", own=[own])
    return {result.id: (result.verdict, result.why) for result in results}


def test_what_each_way_to_end_means(own: Path, tmp_path: Path) -> None:
    assert ended(own, tmp_path, "steady") == {
        "engine.good": (Verdict.HELD, "it passes"),
        "engine.bad[one]": (Verdict.HELD, "it passes"),
        "engine.bad[two]": (Verdict.VIOLATED, "AssertionError: two is not well assert 'two' == 'one' - one + two"),
        "engine.not_begun": (Verdict.UNKNOWN, "AssertionError: no way in assert 0"),
        "engine.odd": (Verdict.UNKNOWN, "RuntimeError: a b"),
    }


def test_invariants_are_asked_after_the_fault(own: Path, tmp_path: Path) -> None:
    found = ended(own, tmp_path, "invariants")
    assert found["engine.always"] == (Verdict.HELD, "it passes")
    assert found["engine.again"][0] is Verdict.UNKNOWN
    assert "nothing_of_this_name" in found["engine.again"][1]
    assert set(found) == {"engine.always", "engine.again"}


def test_a_file_that_cannot_be_read_is_unknown(own: Path, tmp_path: Path) -> None:
    (own / "test_engine.py").write_text("import nowhere_at_all\n")
    found = ended(own, tmp_path, "steady")
    assert {verdict for verdict, _ in found.values()} == {Verdict.UNKNOWN}
    assert any("nowhere_at_all" in why for _, why in found.values())


def test_hosts_without_results_are_unknown(own: Path, tmp_path: Path) -> None:
    (own / "test_engine.py").write_text("")
    assert ended(own, tmp_path, "steady") == {"checks": (Verdict.UNKNOWN, NO_CHECK)}
